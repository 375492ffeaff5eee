/**
 * Where a run begins: what it would write must not be there, unless a run wrote it that ended before its first checkpoint.
 * Such a run left `.begun`, which is written before all else and goes with the first checkpoint.
 */
import { lstat, rm } from "node:fs/promises"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { isDirectory, readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { listed, namesIn } from "../../host/files/folder.ts"

const marker = ".begun"
const markerText = "A training run began here and has no checkpoint yet: it may be begun again.\n"

/** Written at the end, after the last checkpoint: without checkpoints it is somebody's, whoever trained it. */
const finalFile = "model.safetensors"
/** Of every run, for which others are no place. */
const folders = ["checkpoints", "tensorboard"] as const

/**
 * Of a directory without checkpoints.
 *
 * @param files names that the run writes there, beside those of every run
 * @throws UserError where some are there that are not known to be of such a run
 */
export async function requireNewRun(directory: string, files: readonly string[]): Promise<void> {
  const present = await namesIn(directory, [marker, finalFile, "metrics.jsonl", ...files])
  // In this order: another process of the run writes the marker before the files.
  const taken = (await isBegun(directory)) ? present.filter((name) => name === finalFile) : present
  taken.push(...(await notFolders(directory)))
  if (taken.length === 0) return
  throw new UserError(
    `${directory} has no checkpoints of a run, and holds ${listed(taken.sort())}, which a run would replace`,
    "move that to another folder, or choose another directory",
  )
}

/** Before the run writes anything else there; where there is a checkpoint it is the mark. */
export async function markRun(directory: string, hasCheckpoint: boolean): Promise<void> {
  if (hasCheckpoint) await unmarkRun(directory)
  else await writeAtomically(join(directory, marker), [markerText])
}

/** When a checkpoint is there. */
export async function unmarkRun(directory: string): Promise<void> {
  if (await isBegun(directory)) await rm(join(directory, marker), { force: true })
}

async function isBegun(directory: string): Promise<boolean> {
  const path = join(directory, marker)
  const found = await lstat(path).catch(() => null)
  if (!found?.isFile() || found.size !== markerText.length) return false
  return new TextDecoder().decode((await readBytesIfThere(path)) ?? new Uint8Array()) === markerText
}

async function notFolders(directory: string): Promise<string[]> {
  const present = await namesIn(directory, folders)
  const isFolder = await Promise.all(present.map((name) => isDirectory(join(directory, name))))
  return present.filter((_, i) => !isFolder[i])
}
