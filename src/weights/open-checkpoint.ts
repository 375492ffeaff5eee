/** A checkpoint file on disk as a model, with what the export's manifest says of its origin. */
import { basename } from "node:path"
import { SafetensorsFile } from "../core/containers/safetensors.ts"
import { openRandomAccess } from "../host/files/files.ts"
import { sha256OfFile } from "../host/files/hash.ts"
import { type LoadedCheckpoint, loadAnyCheckpoint } from "../model/checkpoint/checkpoint.ts"

/** Opens the checkpoint of a CLIP model or a captioner and runs `use` while the file is open: values are read when they are needed. */
export async function withCheckpoint<T>(path: string, use: (checkpoint: LoadedCheckpoint) => Promise<T>): Promise<T> {
  const file = openRandomAccess(path)
  try {
    return await use(loadAnyCheckpoint(new SafetensorsFile(file), path))
  } finally {
    file.close()
  }
}

/** What a checkpoint of ours says of itself. Throws UserError where it is not one. */
export function checkpointInfo(path: string): LoadedCheckpoint["info"] {
  const file = openRandomAccess(path)
  try {
    return loadAnyCheckpoint(new SafetensorsFile(file), path).info
  } finally {
    file.close()
  }
}

export async function sourceOf(path: string): Promise<{ readonly file: string; readonly sha256: string }> {
  return { file: basename(path), sha256: await sha256OfFile(path) }
}
