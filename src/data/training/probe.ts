/**
 * What a data set has, found by its first samples before training begins: teachers' widths, synthetic captions, whether
 * pictures have captions of their own, and roughly how much memory a decoded sample takes.
 */
import { oneLine, UserError } from "../../core/errors.ts"
import { BadSample } from "./bad-samples.ts"
import { type CaptionChoice, defaultSyntheticPattern, type TrainingDataConfig } from "./config.ts"
import type { Sampler } from "./order/sampler.ts"
import type { EmbeddingRow } from "./rows/embedding-rows.ts"
import { sampleBytes } from "./rows/fill.ts"
import { type Captions, SampleLoader, type TrainingSample } from "./rows/load.ts"
import { isReinforced, wantsEmbeddings } from "./sources/open-source.ts"
import { checkTeacherWidths, findTeacherWidths } from "./teacher-widths.ts"

export interface Findings {
  /** One per teacher; null where there are no embeddings, or none are wanted. */
  readonly teacherWidths: readonly number[] | null
  /** Null where there are no synthetic captions, or none are wanted. */
  readonly syntheticPattern: string | null
  /** As asked for; where nothing was, 1 if samples have synthetic captions and no real ones, else null. */
  readonly mixSynthetic: number | null
  /** Average bytes of a sample that is kept decoded. */
  readonly sampleBytes: number
}

/** How many usable samples are looked at, and how many are tried to find them, or one with a caption. */
const [enough, mostTried] = [8, 64]

/** Throws UserError where no sample can be used, or the data lack what the settings ask for. */
export async function probe(config: TrainingDataConfig, sampler: Sampler): Promise<Findings> {
  const samples = await firstSamples(config, sampler)
  const bytes = samples.reduce((sum, sample) => sum + sampleBytes(sample), 0) / samples.length
  const { teacherWidths, syntheticPattern } = isReinforced(config) ? reinforcementOf(config, samples) : unreinforced
  requireViews(config, samples)
  const mixSynthetic = await mixFor(config, sampler, samples, syntheticPattern !== null)
  return { teacherWidths, syntheticPattern, mixSynthetic, sampleBytes: bytes }
}

const unreinforced = { teacherWidths: null, syntheticPattern: null } as const

function reinforcementOf(
  config: TrainingDataConfig,
  samples: readonly TrainingSample[],
): Pick<Findings, "teacherWidths" | "syntheticPattern"> {
  const teacherWidths = widthsOf(config, samples)
  const syntheticPattern = patternFor(config, samples)
  if (!teacherWidths && !syntheticPattern && wantsEmbeddings(config)) {
    throw new UserError(
      `${config.source} is not reinforced: its first samples have neither embeddings nor synthetic captions`,
      "reinforce it first, or train without its reinforcement",
    )
  }
  return { teacherWidths, syntheticPattern }
}

/**
 * Where no sample has a real caption, synthetic ones can take their place. A sample without one among others that have one is
 * left out later.
 */
async function mixFor(
  config: TrainingDataConfig,
  sampler: Sampler,
  samples: readonly TrainingSample[],
  hasSynthetic: boolean,
): Promise<number | null> {
  const { source, captionKey = "web", mixSynthetic = null } = config
  if (hasSynthetic && mixSynthetic === 1) return mixSynthetic
  if (samples.some((sample) => hasCaption(sample, captionKey))) return mixSynthetic
  if (await anyHasCaption(config, sampler, captionKey)) return mixSynthetic
  if (hasSynthetic && mixSynthetic === null && captionKey === "web") return 1
  const one = captionKey === "precise" ? 'a "caption" in its json member' : "a caption"
  throw new UserError(
    `${source}: none of its first ${triesOf(sampler)} samples has ${one}`,
    hasSynthetic
      ? "data.mixSynthetic=1 trains on the synthetic ones alone"
      : "give the pictures captions, or make synthetic ones (mobileclip reinforce caption) and use them (--dataset-reinforcement)",
  )
}

function hasCaption({ texts, precise }: Captions, choice: CaptionChoice): boolean {
  return (choice !== "precise" && texts.length > 0) || (choice !== "web" && precise !== null)
}

/** Looks at more samples, because one decides what all of the run is about. Their pictures are not read. */
async function anyHasCaption(config: TrainingDataConfig, sampler: Sampler, choice: CaptionChoice): Promise<boolean> {
  using loader = new SampleLoader(false, config.truncated)
  for (let position = 0; position < triesOf(sampler); position++) {
    try {
      if (hasCaption(await loader.captions((await sampler.pick(position, 0)).location), choice)) return true
    } catch (error) {
      if (!(error instanceof BadSample)) throw error
    }
  }
  return false
}

function triesOf({ samples }: Sampler): number {
  return Math.min(mostTried, samples ?? mostTried)
}

async function firstSamples(config: TrainingDataConfig, sampler: Sampler): Promise<TrainingSample[]> {
  using loader = new SampleLoader(wantsEmbeddings(config), config.truncated)
  const samples: TrainingSample[] = []
  let first: string | null = null
  const tries = triesOf(sampler)
  for (let position = 0; position < tries && samples.length < enough; position++) {
    try {
      samples.push(await loader.load((await sampler.pick(position, 0)).location))
    } catch (error) {
      if (!(error instanceof BadSample)) throw error
      first ??= error.message
    }
  }
  if (samples.length > 0) return samples
  throw new UserError(
    `${config.source}: none of the first ${tries} samples can be used (${first})`,
    "shards without pictures are joined with those that have them first (mobileclip reinforce join)",
  )
}

function widthsOf(config: TrainingDataConfig, samples: readonly TrainingSample[]): readonly number[] | null {
  const rows = samples.flatMap(({ embeddings }) =>
    ["image_emb", "text_emb", "texts_emb"].flatMap((name) => rowsOf(embeddings.get(name))),
  )
  if (rows.length === 0) return null
  const { source, teacherWidths } = config
  checkBelonging(config)
  const alike = rows.filter(({ length }) => length === rows[0]!.length)
  return teacherWidths ? checkTeacherWidths(teacherWidths, alike[0]!.length, source) : findTeacherWidths(alike, source)
}

/** Embeddings are of stored views and of the captions that came with them. */
function checkBelonging({ source, view, captionKey = "web" }: TrainingDataConfig): void {
  if (captionKey !== "web") {
    throw new UserError(
      `captions "${captionKey}" have no embeddings in ${source}`,
      "train reinforced on the web captions, or without embeddings on the others",
    )
  }
  if (view === "stored") return
  throw new UserError(
    `the embeddings in ${source} are of its stored views, not of "${view}" ones`,
    "use the stored views, or leave the embeddings out",
  )
}

function requireViews({ source, view }: TrainingDataConfig, samples: readonly TrainingSample[]): void {
  if (view !== "stored" || samples.some(({ paramAug }) => paramAug && paramAug.length > 0)) return
  throw new UserError(
    `${source}: none of its first ${samples.length} samples has stored views (param_aug)`,
    "make them (mobileclip reinforce embed), or choose another view: data.view=crop",
  )
}

function rowsOf(array: { rows: number; width: number; values: Float32Array } | undefined): EmbeddingRow[] {
  if (!array) return []
  const { rows, width, values } = array
  return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width))
}

function patternFor(config: TrainingDataConfig, samples: readonly TrainingSample[]): string | null {
  const { source, syntheticPattern = defaultSyntheticPattern, mixSynthetic } = config
  const keys = [...new Set(samples.flatMap(({ synTexts }) => [...synTexts.keys()]))]
  if (keys.some((key) => new RegExp(syntheticPattern).test(key))) return syntheticPattern
  if (keys.length > 0) {
    throw new UserError(
      `${source} has synthetic captions under ${oneLine(keys.join(", "), 200)}, and none matches /${syntheticPattern}/`,
      "give a syntheticPattern that matches",
    )
  }
  if (mixSynthetic === undefined) return null
  throw new UserError(`${source} has no synthetic captions to mix`, "leave mixSynthetic out, or make captions first")
}
