/**
 * The folder in which a run begins: it must not hold what the run would write, unless a run that ended before its first
 * checkpoint wrote it. Such a run left `.begun`, which is written before all other files and removed after the first checkpoint.
 */
import { lstat, rm } from "node:fs/promises"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { isDirectory, readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { listed, namesIn } from "../../host/files/folder.ts"

const marker = ".begun"
const markerText = "A training run began here and has no checkpoint yet: it may be begun again.\n"

/** Written at the end, after the last checkpoint. Without checkpoints it is a finished model that must not be lost. */
const finalFile = "model.safetensors"
/** Folders of every run; files of these names are in the way. */
const folders = ["checkpoints", "tensorboard"] as const

/**
 * Checks a directory without checkpoints, before a run begins in it.
 *
 * @param files names that the run writes there, beside those of every run
 * @throws UserError where the directory holds files of these names that no such run is known to have written
 */
export async function requireNewRun(directory: string, files: readonly string[]): Promise<void> {
  const present = await namesIn(directory, [marker, finalFile, "metrics.jsonl", ...files])
  // In this order, because another process of the run writes the marker before the files.
  const taken = (await isBegun(directory)) ? present.filter((name) => name === finalFile) : present
  taken.push(...(await notFolders(directory)))
  if (taken.length === 0) return
  throw new UserError(
    `${directory} has no checkpoints of a run, and holds ${listed(taken.sort())}, which a run would replace`,
    "move that to another folder, or choose another directory",
  )
}

/** Writes the marker, before the run writes anything else there. A checkpoint takes its place. */
export async function markRun(directory: string, hasCheckpoint: boolean): Promise<void> {
  if (hasCheckpoint) await unmarkRun(directory)
  else await writeAtomically(join(directory, marker), [markerText])
}

/** Removes the marker, when there is a checkpoint. */
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
