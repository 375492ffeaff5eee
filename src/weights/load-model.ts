/** A model or a captioner on ONNX Runtime, whatever a user calls it: found as every command finds it. */
import type { Manifest } from "../core/inference/manifest.ts"
import type { Captioner, CaptionerModel } from "../run/caption/captioner.ts"
import type { LoadOptions as RunOptions } from "../run/load-options.ts"
import type { Model } from "../run/model.ts"
import { loadCaptioner as loadCaptionerFolder, loadModel as loadModelFolder } from "../run/node.ts"
import { modelDirectory } from "./model-directory.ts"

export interface LoadOptions extends RunOptions {
  /** Is told what takes long: the export of weights at the first time. */
  readonly onStage?: ((text: string) => void) | undefined
}

/**
 * The CLIP that `model` names: a folder of ONNX towers in our layout, transformers.js' or Immich's, a run's folder, a file
 * of weights, or a name that was pulled. Weights are exported once, into this user's cache; nothing is downloaded. A tower is
 * read when it is first used.
 *
 * @throws UserError where there is no such model on this machine, or its files contradict each other
 */
export async function loadModel(model: string, { onStage, ...options }: LoadOptions = {}): Promise<Model> {
  return loadModelFolder(await modelDirectory(model, { onStage }), options)
}

/** The captioner that `model` names, as for `loadModel`. Throws UserError where there is none, or it has no decoder. */
export async function loadCaptioner(
  model: string,
  { onStage, ...options }: LoadOptions = {},
): Promise<Captioner<Manifest & CaptionerModel>> {
  return loadCaptionerFolder(await modelDirectory(model, { onStage }), options)
}
