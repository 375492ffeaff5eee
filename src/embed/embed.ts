/**
 * Vectors of many pictures or texts, by one or several models in one pass, to folders: whatever ends the work, the same call
 * goes on, and what is there at the end is what a single run would have left, byte for byte.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { kindOf, requireCount, requireOneOf, requireTexts } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import { type OpenedAll, openAll } from "../core/open-all.ts"
import { modelDtypes } from "../core/precision.ts"
import { noProgress, type StartProgress } from "../core/progress.ts"
import { defaultMaxPixels } from "../host/image/images.ts"
import { lockFolder } from "../host/locks/lock.ts"
import { KeptTowers } from "../pictures/kept-towers.ts"
import { type PictureReading, pixelOptions, readingDefaults } from "../pictures/reading.ts"
import { type Embedded, embedded, type Inputs, requireInputs } from "./inputs.ts"
import { type EmbedFailure, ModelFolder } from "./model-folder.ts"
import { type EmbedEncoder, type EncoderOptions, openEncoder } from "./open-encoder.ts"
import type { PartWriter, Row } from "./part-writer.ts"
import {
  computedIn,
  type EmbedSettings,
  embedOutputs,
  settingsFile,
  settingsOf,
  storedTypes,
  summaryOf,
} from "./settings.ts"

export interface EmbedOptions extends EncoderOptions, Partial<PictureReading> {
  /** Whatever `loadModel` takes; several have a folder each, in the one that is written. */
  readonly models: readonly string[]
  readonly inputs: Inputs
  readonly out: string
  readonly output?: EmbedSettings["output"]
  /** Type of the values in `.npy` files. */
  readonly store?: EmbedSettings["store"]
  /** Pictures or texts of a part, whose files are complete or absent. Each shard is a part. */
  readonly partSize?: number
  /** Inputs that a model takes at a time (default: 8 pictures, 256 texts). */
  readonly batchSize?: number
  /** Larger pictures are refused. */
  readonly maxPixels?: number
  /** Makes the parts again that lack an input. */
  readonly retryFailures?: boolean
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
  /** Is told of each input that is left out, once for all models. */
  readonly onFailure?: (error: UserError) => void
  /** Is told how pictures are decoded and encoded, in lines, for each part again. */
  readonly onChoice?: ((line: string) => void) | undefined
  /** Is told what was chosen, before the work. */
  readonly onModels?: (models: readonly EmbedSettings[]) => void
}

export const embedDefaults = {
  ...readingDefaults,
  ...{ output: "clip-retrieval", store: "float32", partSize: 10_000, maxPixels: defaultMaxPixels },
} as const satisfies Partial<EmbedOptions>

/** Said, and not left to the circumstances: in batches of another size the last digits are others. */
const batchSizes = { pictures: 8, shards: 8, texts: 256 } as const satisfies Record<Inputs["kind"], number>

/** What a model's folder holds. */
export interface EmbeddedModel {
  readonly model: string
  readonly folder: string
  readonly rows: number
  readonly embedDim: number
  /** Inputs that are not among the rows, from all runs. */
  readonly failures: readonly EmbedFailure[]
}

/**
 * @throws UserError where the folder is in use, or has other content or vectors of other settings, and where a model cannot be
 *   used; the signal's reason where it aborts, after which the same call goes on
 */
export async function embed(given: EmbedOptions): Promise<EmbeddedModel[]> {
  requireOptions(given)
  const { kind } = given.inputs
  await using kept = new KeptTowers()
  const options: Complete = {
    kept,
    ...{ ...embedDefaults, startProgress: noProgress, batchSize: batchSizes[kind], ...given },
    ...(kind === "shards" && { partSize: 1 }),
  }
  if (options.inputs.items.length === 0) throw new UserError(`there are no ${kind} to embed`)
  if (options.models.length === 0) throw new UserError("no model was named", "name at least one")
  using _ = await lockFolder(options.out, "mobileclip embed", options.signal)
  await using encoders = await openEncoders(options)
  const folders = await openFolders(encoders.all, options)
  options.onModels?.(folders.map(({ settings }) => settings))
  const work = folders.map((folder, i) => ({ folder, encoder: encoders.all[i]! }))
  await embedParts(work, options)
  for (const folder of folders) await folder.writeFailures()
  return folders.map(resultOf)
}

function requireOptions({ models, inputs, out, output, store, partSize, batchSize, dtype }: EmbedOptions): void {
  requireTexts(models, "models", 'write models: ["models/s0"]')
  requireInputs(inputs)
  if (typeof out !== "string") throw new UserError(`out must be the path of a folder, not ${kindOf(out)}`)
  requireOneOf("output", output, embedOutputs)
  requireOneOf("store", store, storedTypes)
  requireOneOf("dtype", dtype, [...modelDtypes, "auto"])
  requireCount("partSize", partSize)
  requireCount("batchSize", batchSize)
}

/** With all that has a default. */
type Complete = EmbedOptions &
  Required<Pick<EmbedOptions, keyof typeof embedDefaults | "batchSize" | "startProgress">> & {
    /** Threads and towers, which the next part uses again. */
    readonly kept: KeptTowers
  }

interface ModelWork {
  readonly folder: ModelFolder
  readonly encoder: EmbedEncoder
}

async function embedParts(work: readonly ModelWork[], options: Complete): Promise<void> {
  if (options.retryFailures) for (const { folder } of work) await folder.forgetFailures()
  const { inputs, partSize, startProgress } = options
  const all = Array.from({ length: Math.ceil(inputs.items.length / partSize) }, (_, part) => ({
    part,
    items: inputs.items.slice(part * partSize, (part + 1) * partSize),
  }))
  const left = all.filter(({ part }) => work.some(({ folder }) => !folder.isDone(part)))
  if (left.length === 0) return
  // How many pictures a shard has is not known before it is read.
  const isCounted = inputs.kind !== "shards"
  const total = isCounted ? inputs.items.length : 0
  let done = isCounted ? total - left.reduce((sum, { items }) => sum + items.length, 0) : 0
  const progress = startProgress("embedding", total, { unit: isCounted ? inputs.kind : "pictures", from: done })
  for (const { part, items } of left) {
    const missing = work.filter(({ folder }) => !folder.isDone(part))
    await embedPart(part, { ...inputs, items }, missing, options, (count) => {
      done += count
      progress.update(done)
    })
  }
  progress.done()
}

/** Batches begin with the part, so that its rows are the same whatever was done before. */
async function embedPart(
  part: number,
  inputs: Inputs,
  work: readonly ModelWork[],
  options: Complete,
  onDone: (count: number) => void,
): Promise<void> {
  const writers: PartWriter[] = []
  const failures: EmbedFailure[] = []
  try {
    for (const { folder } of work) writers.push(await folder.begin(part))
    const encoders = work.map(({ encoder }) => encoder)
    for await (const batch of embedded(inputs, encoders, encodeOptions(options))) {
      for (const item of batch) if ("error" in item) failures.push(failureOf(item, options))
      for (const [i, writer] of writers.entries()) await writer.add(rowsOf(batch, i))
      onDone(batch.length)
    }
    for (const [i, { folder }] of work.entries()) {
      await folder.finish(part, { rows: await writers[i]!.commit(), failures })
    }
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.abandon()))
    throw error
  }
}

function encodeOptions({ batchSize, maxPixels, orientation, decode, threads, signal, onChoice, kept }: Complete) {
  return { kept, signal, batchSize, threads, onChoice, decode: pixelOptions({ orientation, decode }, maxPixels) }
}

function rowsOf(batch: readonly Embedded[], model: number): Row[] {
  return batch.flatMap((item) => ("error" in item ? [] : { facts: item.facts, vector: item.vectors[model]! }))
}

function failureOf({ item, error }: Extract<Embedded, { error: unknown }>, { onFailure }: Complete): EmbedFailure {
  onFailure?.(error)
  return { input: item, reason: error.message }
}

// ------------------------------------------------------------------------------------------------------- opening

function openEncoders(options: Complete): Promise<OpenedAll<EmbedEncoder>> {
  const isAlone = options.models.length === 1
  const settled = (name: string) => computedIn(isAlone ? options.out : join(options.out, folderName(name)))
  return openAll(options.models, (model) => openEncoder(model, options, settled))
}

/** A single model's files are in the folder itself; each of several has one with its name. */
async function openFolders(encoders: readonly EmbedEncoder[], options: Complete): Promise<ModelFolder[]> {
  const chosen = chosenSettings(options)
  const names = encoders.length === 1 ? [""] : folderNames(encoders)
  if (encoders.length > 1) requireNoOwn(options.out)
  const folders: ModelFolder[] = []
  for (const [i, encoder] of encoders.entries())
    folders.push(await ModelFolder.open(join(options.out, names[i]!), settingsOf(encoder, chosen)))
  return folders
}

function chosenSettings({ inputs, orientation, decode, maxPixels, output, store, batchSize, partSize }: Complete) {
  const reading = inputs.kind === "texts" ? null : { orientation, decode, maxPixels }
  return { reading, output, store, batchSize, partSize, inputs: summaryOf(inputs.kind, inputs.items) }
}

function folderName(model: string): string {
  return model.replaceAll(/[^\w.@+-]+/g, "-").replace(/^\.+/, "") || "model"
}

/** Throws UserError where two have the same name: a folder could be either's. */
function folderNames(encoders: readonly EmbedEncoder[]): string[] {
  const names = encoders.map(({ name }) => folderName(name))
  const again = names.find((name, i) => names.findIndex((other) => other.toLowerCase() === name.toLowerCase()) !== i)
  if (again === undefined) return names
  throw new UserError(
    `two of the models are called ${again}, and each is written to a folder of its name`,
    "give them folders or files of different names, or write each to its own --out",
  )
}

function requireNoOwn(out: string): void {
  if (!existsSync(join(out, settingsFile))) return
  throw new UserError(
    `${out} holds the vectors of one model, and several were named`,
    "choose another folder for --out: each of several models has a folder in it",
  )
}

function resultOf(folder: ModelFolder): EmbeddedModel {
  const { model, embedDim } = folder.settings
  const records = folder.records()
  const rows = records.reduce((sum, record) => sum + record.rows, 0)
  return { model, folder: folder.path, embedDim, rows, failures: records.flatMap(({ failures }) => failures) }
}
