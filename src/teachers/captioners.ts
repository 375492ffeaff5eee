/** The captioner of `reinforce caption`: an exported one on ONNX Runtime, or a CoCa checkpoint on either runtime. */
import { UserError } from "../core/errors.ts"
import type { ImageCaptioner } from "../core/inference/teacher.ts"
import { modelIdentity } from "../core/inference/teacher-identity.ts"
import { decoderSizes } from "../export/export.ts"
import { Coca } from "../model/coca.ts"
import { Captioner, type CaptionOptions } from "../run/caption/captioner.ts"
import { type GenerateOptions, generateOptions } from "../run/caption/options.ts"
import { listedHashes, loadCaptioner, requireDtype } from "../run/node.ts"
import type { ModelSource } from "./model-source.ts"
import { onRuntime, type RuntimeOptions, torchOptions } from "./runtime.ts"

export interface CaptionerOptions extends RuntimeOptions {
  /** How captions are drawn, and how many of each image. */
  readonly generation: Partial<GenerateOptions> & Required<Pick<CaptionOptions, "perImage" | "seed" | "whole">>
}

/** Throws UserError where the model is not a captioner, or an option is out of range. */
export async function openCaptioner(source: ModelSource, options: CaptionerOptions): Promise<ImageCaptioner> {
  const { captioner, identity } = await opened(source, options)
  try {
    return imageCaptioner(captioner, identity, options.generation)
  } catch (error) {
    await captioner.dispose()
    throw error
  }
}

/** One set of options, and captions that depend on the key of a sample. */
function imageCaptioner(captioner: Captioner, identity: string, given: CaptionerOptions["generation"]): ImageCaptioner {
  const { perImage, seed, whole, ...generating } = given
  const { name, decoder } = captioner.manifest
  const options = { ...generateOptions(generating, decoder.contextLength), perImage, seed, whole }
  return {
    name,
    identity: `${identity} ${JSON.stringify(options)}`,
    caption: (images, keys) => captioner.caption(images, { ...options, keys }),
    [Symbol.asyncDispose]: () => captioner.dispose(),
  }
}

interface Opened {
  readonly captioner: Captioner
  readonly identity: string
}

function opened(source: ModelSource, options: RuntimeOptions): Promise<Opened> {
  const { name } = source
  return onRuntime(source, options, {
    async onnx(directory, { dtype, ...load }) {
      const captioner = await loadCaptioner(directory, load)
      const { manifest } = captioner
      if (dtype) requireDtype(manifest, dtype, directory)
      const graphs = Object.keys(manifest.files).filter((file) => file.endsWith(".onnx"))
      return { captioner, identity: modelIdentity(name, listedHashes(manifest, graphs), manifest.preprocessing) }
    },
    async libtorch() {
      const { torchCaptioner } = await import("./torch-captioner.ts")
      const { torchIdentity } = await import("./torch-teacher.ts")
      const settings = await torchOptions(options)
      return async ({ model, info: { preprocessing } }, info) => {
        if (!(model instanceof Coca)) throw new UserError(`${name} is not a captioner`, "give a CoCa checkpoint")
        const runtime = torchCaptioner(model, preprocessing, settings)
        const captioner = new Captioner({ name, preprocessing, decoder: decoderSizes(model) }, runtime)
        return { captioner, identity: torchIdentity({ ...info, preprocessing }, settings.precision) }
      }
    },
  })
}
