/** A checkpoint of ours as a model directory, compared with what it was in training. */
import { dirname, resolve } from "node:path"
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { exportModel } from "../export/export.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { makeDirectory } from "../host/files/files.ts"
import { lockPath } from "../host/locks/lock.ts"
import type { CheckpointInfo, CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { sourceOf, withCheckpoint } from "./open-checkpoint.ts"

export interface ExportCheckpointOptions {
  /** The model directory to write. Its parents are made, and an existing model is replaced. */
  readonly out: string
  /** Which command exports, for the message that another process gets; default "mobileclip export". */
  readonly command?: string
  /** Its abort ends the waiting for another process that writes there. */
  readonly signal?: AbortSignal
}

/** Throws UserError where the folder has other content, or the written files differ from the checkpoint. */
export async function exportCheckpoint(
  checkpoint: string,
  { out, command = "mobileclip export", signal }: ExportCheckpointOptions,
): Promise<Manifest> {
  await checkModelDirectory(out)
  await makeDirectory(dirname(resolve(out)))
  using _ = await lockPath(out, command, signal)
  return await withCheckpoint(checkpoint, async ({ model, info }) =>
    exportModel(model, info, out, { source: await sourceOf(checkpoint), ...(await bestReference(model, info)) }),
  )
}

/** libtorch where it was built; elsewhere the files are compared with the model before fusing, and the manifest says so. */
async function bestReference(model: CheckpointModel, { preprocessing }: Pick<CheckpointInfo, "preprocessing">) {
  try {
    const { torchReference } = await import("../export/torch-reference.ts")
    return { reference: torchReference(model, preprocessing) }
  } catch (error) {
    if (error instanceof UserError) return {}
    throw error
  }
}
