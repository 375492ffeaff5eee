/** A model that embeds, whatever runs it: a folder of ONNX towers, weights that are exported once, or a checkpoint on libtorch. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity } from "../core/inference/teacher-identity.ts"
import type { ModelDtype } from "../core/precision.ts"
import { loadModel, readClipFolder } from "../run/node.ts"
import { onnxDtype, prepared, type RuntimeOptions } from "../teachers/runtime.ts"
import { openTeachers } from "../teachers/teachers.ts"
import { findModelFiles, type ModelSource } from "../weights/find-model.ts"

/** What computed vectors, as it is recorded. */
export interface Computed {
  readonly runtime: "onnxruntime" | "libtorch"
  readonly device: "cpu" | "cuda"
  /** Type of the weights, or of what libtorch computes in; null where no file says. */
  readonly dtype: ModelDtype | null
}

export interface EmbedEncoder extends Teacher {
  readonly computed: Computed
}

/**
 * @param given whatever `loadModel` takes; nothing is downloaded
 * @throws UserError where there is no such model, or it cannot compute so
 */
export async function openEncoder(given: string, options: RuntimeOptions): Promise<EmbedEncoder> {
  const wantsWeights = options.runtime === "libtorch"
  const found = await findModelFiles(given, { pull: null, wantsWeights, dtype: onnxDtype(options) })
  const source = await prepared(found, options)
  if (source.kind === "directory") return openDirectory(source, options)
  const [teacher] = await openTeachers([source], options)
  return { ...teacher!, computed: computedBy("libtorch", options, options.dtype ?? "fp32") }
}

async function openDirectory(source: ModelSource, options: RuntimeOptions): Promise<EmbedEncoder> {
  const dtype = onnxDtype(options)
  const folder = await readClipFolder(source.path, { name: source.name, ...(dtype && { dtype }) })
  const computed = computedBy("onnxruntime", options, folder.manifest?.dtype ?? dtype)
  if (folder.text === null) return { ...(await imageTowerAlone(source, folder, options)), computed }
  const [teacher] = await openTeachers([source], options)
  return { ...teacher!, computed }
}

/** What teachers are not: a model of pictures without one of texts. */
async function imageTowerAlone(
  { name, path }: ModelSource,
  folder: Awaited<ReturnType<typeof readClipFolder>>,
  { device = "cpu", threads }: RuntimeOptions,
): Promise<Teacher> {
  const model = await loadModel(path, { provider: device, ...(threads !== undefined && { threads }) })
  const { preprocessing, embedDim } = model
  return {
    ...{ name, preprocessing, embedDim },
    identity: modelIdentity(name, await folder.weights(), preprocessing),
    encodePixels: (pixels, count) => model.encodePixels(pixels, count),
    encodeTexts: () => Promise.reject(new UserError(`${name} has no text tower`, "use it for pictures only")),
    [Symbol.asyncDispose]: () => model.dispose(),
  }
}

/** The one place where what chose a precision is to be recorded. */
function computedBy(
  runtime: Computed["runtime"],
  { device = "cpu" }: RuntimeOptions,
  dtype: Computed["dtype"],
): Computed {
  return { runtime, device, dtype }
}
