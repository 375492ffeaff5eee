/** Whether a model's vectors are those that an index has: then only its name, file or precision is another one. */
import { UserError } from "../../core/errors.ts"
import type { EmbedEncoder } from "../../embed/open-encoder.ts"
import { copyBackground, encodePrompts } from "../calibrate/make-background.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import { copyRows } from "./copy-rows.ts"
import { encodeRows, sameCosine, sampleRows, withRows } from "./encode-rows.ts"
import { requireNoneBegun } from "./migration-progress.ts"
import {
  generationBy,
  type MigrationOptions,
  type OpenMigration,
  startedProgress,
  withMigration,
} from "./open-migration.ts"

export interface CheckOptions extends MigrationOptions {
  /** Pictures that are encoded (default: 64). */
  readonly sample?: number | undefined
  /** Where the vectors are the same, the index is said to be the model's from now on. */
  readonly adopt?: boolean | undefined
}

export const checkDefaults = { sample: 64 } as const

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

/** @throws UserError where no picture can be compared, or it is to be adopted, and has other vectors or a migration has begun */
export function checkModel(folder: string, options: CheckOptions): Promise<CheckResult> {
  const command = options.adopt ? "mobileclip index migrate --adopt" : null
  return withMigration(folder, command, options, async (open) => {
    const { writer, encoder, active } = open
    if (writer) await requireNoneBegun(writer)
    const result = encoder.embedDim === active.dim ? await compare(open, options) : otherLength
    if (writer) {
      requireSame(encoder, result)
      await adopt(writer, encoder, options.model)
    }
    return { model: encoder.name, adopted: writer !== null, ...result }
  })
}

function requireSame({ name }: EmbedEncoder, result: Comparison): void {
  if (result.same) return
  throw new UserError(
    `${name} gives other vectors than those in the index (${describeComparison(result)})`,
    "encode the pictures again: leave out --adopt and --check",
  )
}

/** What was found, for messages. */
export function describeComparison({ compared, median, leastOfTexts }: Comparison): string {
  if (compared === 0) return "they have another length"
  const texts = Number.isNaN(leastOfTexts) ? "" : `, least of texts ${leastOfTexts.toFixed(4)}`
  return `median cosine ${median.toFixed(4)} of ${compared} pictures${texts}`
}

export type Comparison = Omit<CheckResult, "model" | "adopted">

const otherLength: Comparison = {
  ...{ same: false, compared: 0, median: Number.NaN, least: Number.NaN, leastOfTexts: Number.NaN },
}

async function compare(open: OpenMigration, options: CheckOptions): Promise<Comparison> {
  const cosines = await comparePictures(open, options)
  if (cosines.length === 0)
    throw new UserError("no picture of the sample is where it was indexed", "bring the pictures back, or index again")
  const leastOfTexts = await compareTexts(open)
  const alike = cosines.filter((cosine) => cosine >= sameCosine).length >= leastShare * cosines.length
  return {
    same: alike && !(leastOfTexts < sameCosine),
    ...{ compared: cosines.length, median: cosines[cosines.length >> 1]!, least: cosines[0]!, leastOfTexts },
  }
}

/** Cosines of pictures' vectors with those that the index has, the least first. */
async function comparePictures({ store, active, encoder }: OpenMigration, options: CheckOptions): Promise<number[]> {
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
  return cosines.sort((a, b) => a - b)
}

/** The least cosine: another model may have the same image tower. */
async function compareTexts({ store, active: { id, dim }, encoder }: OpenMigration): Promise<number> {
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
  const values = generationBy(encoder, source, active)
  const next = writer.addGeneration({ ...values, settings: { ...values.settings, ...(mapped && { mapped }) } })
  await copyRows(writer, active, next, (rows) => rows)
  copyBackground(writer, active, next)
  await extendCodes(writer.store, next)
  await writer.activate(next)
}
