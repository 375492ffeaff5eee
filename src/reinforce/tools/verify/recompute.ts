/**
 * Samples reinforced again: what a stage adds is taken away, the same stage runs on the stored picture, captions and
 * augmentations, and what comes out is compared with what was stored.
 */
import { isDeepStrictEqual } from "node:util"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { arrangeTextEmbeddings } from "../../../data/reinforced/text-embeddings.ts"
import type { CaptionJob, EmbeddingJob } from "../../job/job.ts"
import type { Stage } from "../../stages/stage.ts"
import { rowCosines } from "./compare.ts"

export interface Recomputed {
  readonly samples: number
  /** Those of stored with recomputed embeddings, by key: over all rows of all samples. */
  readonly cosines: Readonly<Record<string, CosineRange>>
  readonly captions: { readonly equal: number; readonly different: number }
  /** Embeddings below the threshold, captions that differ, samples that the stage cannot serve. */
  readonly problems: readonly Problem[]
}

interface CosineRange {
  readonly rows: number
  readonly min: number
  readonly mean: number
}

/** @param threshold the least cosine that is taken for the same vector */
export async function recompute(
  samples: readonly ReinforcedSample[],
  stage: Pick<Stage, "run">,
  job: CaptionJob | EmbeddingJob,
  threshold: number,
): Promise<Recomputed> {
  const comparison = new Comparison(threshold)
  const stored = new Map(samples.map((sample) => [sample.key, sample]))
  const stripped = samples.map((sample) => withoutAdded(sample, job))
  for await (const again of stage.run(asyncOf(stripped), (problem) => comparison.report(problem))) {
    comparison.add(stored.get(again.key)!, again, job)
  }
  return comparison.result()
}

/** Without what the stage of the job adds; the augmentations stay, so that the same views are made. */
function withoutAdded(sample: ReinforcedSample, job: CaptionJob | EmbeddingJob): ReinforcedSample {
  if (job.kind === "caption") {
    return { ...sample, synTexts: filtered(sample.synTexts, (key) => !captionKeys(job).includes(key)) }
  }
  return { ...sample, embeddings: filtered(sample.embeddings, (key) => !key.endsWith(`_emb${job.suffix}`)) }
}

function captionKeys({ suffixes }: CaptionJob): string[] {
  return suffixes.map((suffix) => `syn_text${suffix}`)
}

class Comparison {
  private readonly cosines = new Map<string, number[]>()
  private readonly problems: Problem[] = []
  private readonly captions = { equal: 0, different: 0 }
  private samples = 0

  constructor(private readonly threshold: number) {}

  report(problem: Problem): void {
    if (problem.action === "dropped") this.problems.push(problem)
  }

  add(stored: ReinforcedSample, again: ReinforcedSample, job: CaptionJob | EmbeddingJob): void {
    this.samples += 1
    if (job.kind === "caption") for (const key of captionKeys(job)) this.compareCaptions(stored, again, key)
    else this.compareEmbeddings(stored, again, job.suffix)
  }

  result(): Recomputed {
    const cosines = [...this.cosines].map(([key, values]) => [key, rangeOf(values)])
    return {
      samples: this.samples,
      cosines: Object.fromEntries(cosines),
      captions: this.captions,
      problems: this.problems,
    }
  }

  private compareCaptions({ key, synTexts }: ReinforcedSample, again: ReinforcedSample, name: string): void {
    const same = isDeepStrictEqual(synTexts.get(name), again.synTexts.get(name))
    this.captions[same ? "equal" : "different"] += 1
    if (same) return
    const [before, now] = [synTexts.get(name), again.synTexts.get(name)].map((texts) => JSON.stringify(texts ?? null))
    this.fail(key, `${name} is ${before}, and ${now} when made again`)
  }

  private compareEmbeddings(stored: ReinforcedSample, again: ReinforcedSample, suffix: string): void {
    // Stored in either layout of texts; what a stage gives is separate.
    for (const [name, vectors] of arrangeTextEmbeddings(stored, "separate")) {
      const others = again.embeddings.get(name)
      // Embeddings of another suffix are of another job.
      if (!name.endsWith(`_emb${suffix}`)) continue
      if (!others || others.rows !== vectors.rows || others.width !== vectors.width) {
        const made = others ? `${others.rows} x ${others.width}` : "nothing"
        this.fail(stored.key, `${name} is ${vectors.rows} x ${vectors.width}, and ${made} when made again`)
      } else this.noteCosines(stored.key, name, rowCosines(vectors, others))
    }
  }

  private noteCosines(key: string, name: string, cosines: readonly number[]): void {
    const known = this.cosines.get(name) ?? []
    known.push(...cosines)
    this.cosines.set(name, known)
    const row = cosines.findIndex((cosine) => !(cosine >= this.threshold))
    if (row >= 0)
      this.fail(key, `${name}: row ${row} has the cosine ${cosines[row]!.toFixed(5)} with the one made again`)
  }

  private fail(key: string, reason: string): void {
    this.problems.push({ key, reason, action: "dropped" })
  }
}

function filtered<T>(map: ReadonlyMap<string, T>, keep: (key: string) => boolean): Map<string, T> {
  return new Map([...map].filter(([key]) => keep(key)))
}

function rangeOf(values: readonly number[]): CosineRange {
  const sum = values.reduce((total, value) => total + value, 0)
  return { rows: values.length, min: values.reduce((a, b) => Math.min(a, b), 1), mean: sum / values.length }
}

async function* asyncOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}
