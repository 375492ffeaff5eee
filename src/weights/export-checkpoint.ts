/** Weights as a model directory, compared with what they are in training. */
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import type { DirectoryDtype } from "../core/precision.ts"
import { exportModel } from "../export/export.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { lockPath } from "../host/locks/lock.ts"
import { Clip } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { trainedLicense } from "./license.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { type Weights, withWeights } from "./open-weights.ts"

export interface ExportCheckpointOptions {
  /** The model directory to write. Its parents are made, and an existing model is replaced. */
  readonly out: string
  /** Type of the weights; default "fp32". "mixed" is for browsers: the image tower in fp16, texts in fp32. */
  readonly dtype?: DirectoryDtype
  /** Which command exports, for the message that another process gets; default "mobileclip export". */
  readonly command?: string
  /** What the user calls the licence of the model; default: what the checkpoint says. */
  readonly license?: string | undefined
  /** Its abort ends the waiting for another process that writes there. */
  readonly signal?: AbortSignal
}

/** Throws UserError where the folder has other content, the licence may not be changed, or the written files differ from the checkpoint. */
export async function exportCheckpoint(
  checkpoint: string,
  { out, dtype = "fp32", command = "mobileclip export", license, signal }: ExportCheckpointOptions,
): Promise<Manifest> {
  await checkModelDirectory(out)
  using _ = await lockPath(out, command, signal)
  return await withWeights(checkpoint, null, async ({ model, info: recorded }) => {
    const info = { ...recorded, license: trainedLicense({ own: license ?? null, start: recorded }) }
    const source = await sourceOf(checkpoint)
    return exportModel(model, info, out, { dtype, source, ...(await bestReference(model, info)) })
  })
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
