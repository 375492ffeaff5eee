/** A model that embeds, whatever runs it: a folder of ONNX towers, weights that are exported once, or a checkpoint on libtorch. */
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity } from "../core/inference/teacher-identity.ts"
import type { WantedDtype } from "../core/precision.ts"
import type { PixelEncoder } from "../pictures/encode-files.ts"
import { openFolder, readClipFolder } from "../run/node.ts"
import { type ChosenRuntime, chooseRuntime, type RuntimeRecord } from "../teachers/choose-runtime.ts"
import { onnxDtype, prepared, type RuntimeOptions, wantsCheckpoint } from "../teachers/runtime.ts"
import { openTeachers } from "../teachers/teachers.ts"
import { findModelFiles, type ModelSource } from "../weights/find-model.ts"

/** Threads may open its image tower themselves, where they can. */
interface PlacedTeacher extends Teacher, PixelEncoder {}

export interface EmbedEncoder extends PlacedTeacher {
  /** What computes, and what chose it. */
  readonly computed: RuntimeRecord
}

export interface EncoderOptions extends Omit<RuntimeOptions, "dtype"> {
  /** "auto": the faster of fp32 and bf16, by a short measurement. */
  readonly dtype?: WantedDtype
  /** Is told where an optimised graph is from, when a tower is first used. */
  readonly onChoice?: ((line: string) => void) | undefined
}

/** What computed the vectors of a model of this name that are there already; null where none are. */
export type Settled = (name: string) => Promise<RuntimeRecord | null>

/**
 * @param given whatever `loadModel` takes; nothing is downloaded
 * @param settled keeps a choice of `auto` that was made before
 * @throws UserError where there is no such model, or it cannot compute so
 */
export async function openEncoder(given: string, options: EncoderOptions, settled: Settled): Promise<EmbedEncoder> {
  const { dtype, ...rest } = options
  const wished: RuntimeOptions = dtype === undefined || dtype === "auto" ? rest : { ...rest, dtype }
  const find = { pull: null, wantsWeights: wantsCheckpoint(wished), dtype: onnxDtype(wished) }
  const found = await findModelFiles(given, find)
  const { record, options: chosen, reason } = await choice(found, options, settled)
  if (reason !== null) options.onStage?.(reason)
  const source = await prepared(found, chosen)
  return { ...(await openSource(source, { ...chosen, onChoice: options.onChoice })), computed: record }
}

async function choice(source: ModelSource, options: EncoderOptions, settled: Settled): Promise<ChosenRuntime> {
  const record = options.dtype === "auto" ? await settled(source.name) : null
  if (record === null) return chooseRuntime([source], options)
  const { runtime, dtype } = record
  return { record, options: { ...options, runtime, dtype }, reason: `--dtype auto: ${dtype} on ${runtime}, as before` }
}

type OpenOptions = RuntimeOptions & Pick<EncoderOptions, "onChoice">

async function openSource(source: ModelSource, options: OpenOptions): Promise<PlacedTeacher> {
  return source.kind === "directory" ? openDirectory(source, options) : (await openTeachers([source], options))[0]!
}

/** Unlike a teacher it may have a single tower, and each is read when it is first used. */
async function openDirectory({ name, path }: ModelSource, options: OpenOptions): Promise<PlacedTeacher> {
  const { device: provider = "cpu", threads, onChoice } = options
  const folder = await readClipFolder(path, { name, dtype: onnxDtype(options) })
  const model = await openFolder(folder, { provider, threads, onChoice })
  const { preprocessing, embedDim, place } = model
  return {
    ...{ name, preprocessing, embedDim, place },
    identity: modelIdentity(name, await folder.weights(), preprocessing),
    encodePixels: (pixels, count) => model.encodePixels(pixels, count),
    encodeTexts: (texts) => model.encodeTexts(texts),
    [Symbol.asyncDispose]: () => model.dispose(),
  }
}
