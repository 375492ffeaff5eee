/** The captioner of `reinforce caption`: an exported one on ONNX Runtime, or a CoCa checkpoint on either runtime. */
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import type { ImageCaptioner } from "../core/inference/teacher.ts"
import { modelIdentity, type WeightsFile } from "../core/inference/teacher-identity.ts"
import { decoderSizes } from "../export/export.ts"
import { Coca } from "../model/coca.ts"
import { Captioner, type CaptionOptions } from "../run/captioner.ts"
import { imageCaptioner } from "../run/image-captioner.ts"
import { loadCaptioner } from "../run/node.ts"
import type { ModelSource } from "./model-source.ts"
import {
  loadOptions,
  onnxDtype,
  prepared,
  type RuntimeOptions,
  runtimeOf,
  torchOptions,
  withCheckpointFile,
} from "./runtime.ts"

export interface CaptionerOptions extends RuntimeOptions {
  /** How captions are drawn (default: as the papers' were, five of each image). */
  readonly generation?: Omit<CaptionOptions, "keys">
}

/** Throws UserError where the model is no captioner, or an option is out of range. */
export async function openCaptioner(source: ModelSource, options: CaptionerOptions = {}): Promise<ImageCaptioner> {
  const { captioner, identity } =
    runtimeOf(source, options) === "libtorch" ? await torchSource(source, options) : await onnxSource(source, options)
  try {
    return imageCaptioner(captioner, { ...options.generation, identity })
  } catch (error) {
    await captioner.dispose()
    throw error
  }
}

interface Opened {
  readonly captioner: Captioner
  readonly identity: string
}

async function onnxSource(source: ModelSource, options: RuntimeOptions): Promise<Opened> {
  const { path } = await prepared(source, options)
  const captioner = await loadCaptioner(path, loadOptions(options))
  const { dtype } = captioner.manifest
  if (dtype !== (onnxDtype(options) ?? dtype)) {
    throw new UserError(`${path} is in ${dtype}, not ${options.dtype}`, "convert it again, or leave out --dtype")
  }
  return {
    captioner,
    identity: modelIdentity(source.name, weightsOf(captioner.manifest), captioner.manifest.preprocessing),
  }
}

function weightsOf({ files }: Manifest): WeightsFile[] {
  const graphs = Object.entries(files).filter(([file]) => /\.onnx(_data)?$/.test(file))
  return graphs.map(([file, { sha256 }]) => ({ file, sha256 }))
}

async function torchSource(source: ModelSource, options: RuntimeOptions): Promise<Opened> {
  const { torchCaptioner } = await import("./torch-captioner.ts")
  const { torchIdentity } = await import("./torch-teacher.ts")
  const settings = await torchOptions(options)
  return withCheckpointFile(source, async ({ model, info }, weights) => {
    if (!(model instanceof Coca)) throw new UserError(`${source.name} is no captioner`, "give a CoCa checkpoint")
    const { preprocessing } = info
    const decoder = decoderSizes(model)
    const captioner = new Captioner({ name: source.name, preprocessing, decoder }, torchCaptioner(model, settings))
    const identity = torchIdentity({ name: source.name, preprocessing, weights }, settings.precision ?? "fp32")
    return { captioner, identity }
  })
}
