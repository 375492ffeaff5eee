/**
 * What a linear map from the old model's vectors to the new one's would find, learnt from a sample that the new model encodes:
 * an index may be switched to mapped vectors at once, and be encoded by the new model later.
 */
import { UserError } from "../../core/errors.ts"
import { inTurns, nextTurn } from "../../core/turns.ts"
import { encodePrompts, makeBackground } from "../calibrate/make-background.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { extendCodes } from "../upkeep/codes.ts"
import { copyRows } from "./copy-rows.ts"
import { encodeRows, sampleRows, withRows } from "./encode-rows.ts"
import { applyMap, type FittedMap, fitLinearMap } from "./linear-map.ts"
import { type Recall, recallsOfMap } from "./map-recall.ts"
import { requireNoneBegun } from "./migration-progress.ts"
import {
  countPictures,
  generationBy,
  isBy,
  type MigrationOptions,
  type OpenMigration,
  startedProgress,
  withMigration,
} from "./open-migration.ts"

export interface PreviewOptions extends MigrationOptions {
  /** Pictures that are encoded (default: 2,000, or all). */
  readonly sample?: number | undefined
  /** Switches the index to mapped vectors. */
  readonly apply?: boolean | undefined
}

export const previewDefaults = { sample: 2000 } as const

/** With fewer, what is held out says nothing. */
const leastSample = 50

export interface PreviewResult {
  readonly model: string
  readonly from: string
  /** Pictures that the index has. */
  readonly pictures: number
  /** Pictures that the map was learnt from, and that are searched in `text` and `picture`. */
  readonly sample: number
  readonly kind: "ridge" | "procrustes"
  /** Cosine of held-out pictures with their true vectors. */
  readonly meanCosine: number
  /** Prompts of the background by the new model, over mapped against encoded vectors. */
  readonly text: Recall
  /** Pictures of the sample by the new model, likewise; each is left out of its own hits. */
  readonly picture: Recall
  /** What encoding all pictures takes here, in seconds. */
  readonly fullSeconds: number
  readonly applied: boolean
}

/** @throws UserError where too few pictures can be encoded, or a migration that has begun would be lost by the switch */
export function previewModel(folder: string, options: PreviewOptions): Promise<PreviewResult> {
  const command = options.apply ? "mobileclip index migrate --preview --apply" : null
  return withMigration(folder, command, options, async (open) => {
    const { store, active, encoder, writer } = open
    requireMappable(open)
    if (writer) await requireNoneBegun(writer)
    const sample = await encodeSample(open, options)
    const fitted = await fitMap(sample, open, options)
    const pictures = countPictures(store)
    const queries = await encodePrompts(encoder.encodeTexts.bind(encoder), encoder.embedDim)
    const recalls = recallsOfMap(queries, sample.after, fitted.heldOut, encoder.embedDim, pictures)
    if (writer) await apply(writer, open, fitted, sample.count, options)
    return {
      ...{ model: encoder.name, from: active.model, pictures, sample: sample.count, kind: fitted.map.kind },
      ...{ meanCosine: fitted.meanCosine, ...recalls },
      ...{ fullSeconds: (sample.seconds / sample.count) * pictures, applied: writer !== null },
    }
  })
}

function requireMappable({ active, encoder }: OpenMigration): void {
  if (active.settings.mapped !== undefined)
    throw new UserError(
      `the index has mapped vectors, of ${active.settings.mapped.from}, and a map of a map is worse`,
      "encode the pictures: leave out --preview",
    )
  if (isBy(active, encoder)) throw new UserError(`the index is of ${encoder.name} already`, "there is nothing to do")
}

function fitMap({ before, after }: Sample, { active, encoder }: OpenMigration, { signal, onStage }: PreviewOptions) {
  onStage?.("learning the map")
  return inTurns(fitLinearMap(before, after, active.dim, encoder.embedDim), async () => {
    await nextTurn()
    signal?.throwIfAborted()
  })
}

interface Sample {
  readonly count: number
  /** Unit vectors [count, dim] of the old model, and of the new one. */
  readonly before: Float32Array
  readonly after: Float32Array
  readonly seconds: number
}

async function encodeSample({ store, active, encoder }: OpenMigration, options: PreviewOptions): Promise<Sample> {
  const rows = sampleRows(store, options.sample ?? previewDefaults.sample)
  const progress = startedProgress(options, "encoding a sample", rows.length)
  const began = performance.now()
  const found: { readonly row: number; readonly vector: Float32Array }[] = []
  for await (const each of encodeRows(store, rows, encoder, active, options))
    if ("vector" in each) progress.update(found.push(each))
  progress.done()
  const seconds = (performance.now() - began) / 1000
  const before = await withRows(store, active, (stored) => stored.read(Uint32Array.from(found, ({ row }) => row)))
  return sampleOf(found, before, active.dim, seconds)
}

/** Without pictures that the old model has no vector of. */
function sampleOf(
  found: readonly { vector: Float32Array }[],
  before: Float32Array,
  dim: number,
  seconds: number,
): Sample {
  const kept = [...found.keys()].filter((i) => !Number.isNaN(before[i * dim]))
  if (kept.length < leastSample)
    throw new UserError(
      `${kept.length} pictures of the sample can be encoded, and a map is learnt from ${leastSample} or more`,
      "encode all pictures: leave out --preview",
    )
  const joined = (rowOf: (i: number) => Float32Array) => {
    const width = rowOf(kept[0]!).length
    const all = new Float32Array(kept.length * width)
    for (const [at, i] of kept.entries()) all.set(rowOf(i), at * width)
    return all
  }
  return {
    ...{ count: kept.length, seconds },
    before: joined((i) => before.subarray(i * dim, (i + 1) * dim)),
    after: joined((i) => found[i]!.vector),
  }
}

async function apply(
  writer: IndexWriter,
  { active, encoder }: OpenMigration,
  { map, meanCosine }: FittedMap,
  pictures: number,
  { model, signal }: PreviewOptions,
): Promise<void> {
  const values = generationBy(encoder, model, active)
  const mapped = { from: active.model, pictures, meanCosine }
  const next = writer.addGeneration({ ...values, settings: { ...values.settings, mapped } })
  await copyRows(writer, active, next, (rows) => applyMap(map, rows), signal)
  await makeBackground(writer, next, (texts) => encoder.encodeTexts(texts))
  await extendCodes(writer.store, next, { signal })
  signal?.throwIfAborted()
  await writer.activate(next)
}
