/** Weights as a model directory, compared with what they are in training. */
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { exportModel } from "../export/export.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { lockPath } from "../host/locks/lock.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { type Weights, withWeights } from "./open-weights.ts"

/**
 * Exports to `directory`: its parents are made, and an existing model is replaced.
 *
 * @param checkpoint a file of weights
 * @param command which command exports, for the message that another process gets
 * @throws UserError where the folder has other content, or the written files differ from the checkpoint
 */
export async function exportCheckpoint(
  checkpoint: string,
  directory: string,
  command = "mobileclip export",
  signal?: AbortSignal,
): Promise<Manifest> {
  await checkModelDirectory(directory)
  using _ = await lockPath(directory, command, signal)
  return await withWeights(checkpoint, null, async ({ model, info }) =>
    exportModel(model, info, directory, { source: await sourceOf(checkpoint), ...(await bestReference(model, info)) }),
  )
}

/** libtorch where it was built; elsewhere the files are compared with the model before fusing, and the manifest says so. */
async function bestReference(model: Weights["model"], { preprocessing }: Weights["info"]) {
  if (!(model instanceof Clip || model instanceof Coca)) return {}
  try {
    const { torchReference } = await import("../export/torch-reference.ts")
    return { reference: torchReference(model, preprocessing) }
  } catch (error) {
    if (error instanceof UserError) return {}
    throw error
  }
}
