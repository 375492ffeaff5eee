/** Which files of a folder belong to a model, so that another model may replace them and nothing else is lost. */
import { access } from "node:fs/promises"
import { join } from "node:path"
import { messageOf, UserError } from "../core/errors.ts"
import { manifestFile, parseManifest } from "../core/inference/manifest.ts"
import { readJson } from "../host/files/files.ts"
import { checkReplaceable } from "../host/files/folder.ts"

/**
 * The manifest in `folder` and the files that it lists; nothing where there is no manifest.
 *
 * @throws UserError where it cannot be read, because its files are not known then
 */
export async function modelFiles(folder: string): Promise<string[]> {
  const path = join(folder, manifestFile)
  const isThere = await access(path).then(...yesOrNo)
  if (!isThere) return []
  try {
    return [manifestFile, ...Object.keys(parseManifest(await readJson(path, "a model's manifest"), path).files)]
  } catch (error) {
    throw new UserError(
      `${folder} is not replaced, because what belongs to its model is not known: ${messageOf(error)}`,
      "remove the folder, or choose another one to write to",
      { cause: error },
    )
  }
}

const yesOrNo = [() => true, () => false] as const

/** Throws UserError where `directory` could not take a model: it has other content, or is in use. */
export function checkModelDirectory(directory: string): Promise<void> {
  return checkReplaceable(directory, modelFiles)
}
