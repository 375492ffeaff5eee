/** Whether a model's vectors are those that an index has: then only its name, file or precision is another one. */
import { UserError } from "../../core/errors.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { encodePrompts } from "../calibrate/make-background.ts"
import { type Generation, IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import { copyRows } from "./copy-rows.ts"
import {
  encodeRows,
  generationBy,
  type MigrationOptions,
  openModel,
  requireFileStore,
  sampleRows,
  startedProgress,
  withRows,
} from "./migration-model.ts"

export interface CheckOptions extends MigrationOptions {
  readonly model: string
  /** Pictures that are encoded (default: 64). */
  readonly sample?: number | undefined
  /** Where the vectors are the same, the index is said to be the model's from now on. */
  readonly adopt?: boolean | undefined
}

export const checkDefaults = { sample: 64 } as const

/** Other precisions and kernels change a vector less than this. */
export const sameCosine = 0.999

/** A few pictures in a hundred may be nearer to a border of rounding. */
const leastShare = 0.95

export interface CheckResult {
  readonly model: string
  readonly same: boolean
  readonly adopted: boolean
  readonly compared: number
  /** Cosine of the pictures; NaN where vectors are of another length. */
  readonly median: number
  readonly least: number
  /** Least cosine of the prompts in the background; NaN: there are none, or of another length. */
  readonly leastOfTexts: number
}

/** @throws UserError where no picture can be compared, or it is to be adopted and has other vectors */
export async function checkModel(folder: string, options: CheckOptions): Promise<CheckResult> {
  requireIndex(folder)
  if (options.adopt) {
    using writer = await IndexWriter.open(folder, "mobileclip index migrate --adopt", options.signal)
    return await checkIn(writer.store, options, (encoder) => adopt(writer, encoder, options.model))
  }
  using store = IndexStore.open(folder)
  return await checkIn(store, options, null)
}

async function checkIn(
  store: IndexStore,
  options: CheckOptions,
  adopting: ((encoder: EmbedEncoder) => Promise<void>) | null,
): Promise<CheckResult> {
  const active = store.active()
  requireFileStore(active)
  await using encoder = await openModel(options.model, options)
  const result = encoder.embedDim === active.dim ? await compare(store, active, encoder, options) : otherLength
  if (adopting && !result.same)
    throw new UserError(
      `${encoder.name} gives other vectors than those in the index (median cosine ${result.median.toFixed(4)})`,
      "encode again: leave out --adopt",
    )
  if (adopting) await adopting(encoder)
  return { model: encoder.name, adopted: adopting !== null, ...result }
}

type Comparison = Omit<CheckResult, "model" | "adopted">

const otherLength: Comparison = {
  ...{ same: false, compared: 0, median: Number.NaN, least: Number.NaN, leastOfTexts: Number.NaN },
}

async function compare(
  store: IndexStore,
  active: Generation,
  encoder: EmbedEncoder,
  options: CheckOptions,
): Promise<Comparison> {
  const rows = sampleRows(store, options.sample ?? checkDefaults.sample)
  const progress = startedProgress(options, "comparing pictures", rows.length)
  const cosines: number[] = []
  await withRows(store, active, async (stored) => {
    for await (const each of encodeRows(store, rows, encoder, active, options)) {
      if (!("vector" in each)) continue
      const [cosine] = await stored.scores(each.vector, Uint32Array.of(each.row))
      if (!Number.isNaN(cosine)) progress.update(cosines.push(cosine!))
    }
  })
  progress.done()
  if (cosines.length === 0)
    throw new UserError("no picture of the sample is where it was indexed", "bring the pictures back, or index again")
  cosines.sort((a, b) => a - b)
  const leastOfTexts = await compareTexts(store, active, encoder)
  const alike = cosines.filter((cosine) => cosine >= sameCosine).length >= leastShare * cosines.length
  return {
    same: alike && !(leastOfTexts < sameCosine),
    ...{ compared: cosines.length, median: cosines[cosines.length >> 1]!, least: cosines[0]!, leastOfTexts },
  }
}

/** Another model may have the same image tower. */
async function compareTexts(store: IndexStore, { id, dim }: Generation, encoder: EmbedEncoder): Promise<number> {
  const kept = store.rows("SELECT name, vector FROM background WHERE generation = ? AND kind = 'prompt'", id)
  if (kept.length === 0) return Number.NaN
  const made = await encodePrompts(
    encoder.encodeTexts.bind(encoder),
    dim,
    kept.map(({ name }) => name as string),
  )
  const cosines = kept.map(({ vector }, i) => {
    const before = new Float32Array((vector as Uint8Array).slice().buffer)
    return before.reduce((sum, value, d) => sum + value * made[i * dim + d]!, 0)
  })
  return Math.min(...cosines)
}

/** The same vectors in a generation of the model's name: the file's header and the index change together, at the switch. */
async function adopt(writer: IndexWriter, encoder: EmbedEncoder, source: string): Promise<void> {
  const active = writer.active!
  const { mapped } = active.settings
  if (writer.store.generations().length > 1)
    throw new UserError(
      "a migration has begun, which the change would end",
      "finish it: mobileclip index migrate, with its model",
    )
  const values = generationBy(encoder, source, active)
  const next = writer.addGeneration({ ...values, settings: { ...values.settings, ...(mapped && { mapped }) } })
  await copyRows(writer, active, next, (rows) => rows)
  writer.store.run(
    "INSERT INTO background SELECT ?, kind, number, name, vector FROM background WHERE generation = ?",
    next.id,
    active.id,
  )
  await extendCodes(writer.store, next)
  await writer.activate(next)
}
