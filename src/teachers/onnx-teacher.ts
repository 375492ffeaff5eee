/** Any CLIP in a folder of ONNX files as a teacher. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity } from "../core/inference/teacher-identity.ts"
import type { LoadOptions } from "../run/load-options.ts"
import { type ClipFolder, type FolderOptions, readClipFolder, runOnce } from "../run/node.ts"

/**
 * The CLIP in `directory`, of our own layout, transformers.js' or Immich's, loaded and run once.
 * Throws UserError when there is none, its files contradict each other, or its tokenizer is not CLIP's.
 */
export async function openTeacher(directory: string, options: FolderOptions & LoadOptions = {}): Promise<Teacher> {
  const folder = await readTeacher(directory, options)
  const identity = await identityOf(folder)
  const model = await runOnce(folder, options)
  return {
    ...{ name: model.name, preprocessing: model.preprocessing, embedDim: model.embedDim, identity },
    encodePixels: (pixels, count) => model.encodePixels(pixels, count),
    encodeTexts: (texts) => model.encodeTexts(texts),
    [Symbol.asyncDispose]: () => model.dispose(),
  }
}

/** The identity of the teacher that `openTeacher` opens, from its files alone. Throws UserError where there is none. */
export async function teacherIdentity(directory: string, options: FolderOptions = {}): Promise<string> {
  return identityOf(await readTeacher(directory, options))
}

async function readTeacher(directory: string, options: FolderOptions): Promise<ClipFolder> {
  const folder = await readClipFolder(directory, options)
  if (folder.text !== null) return folder
  throw new UserError(`${folder.description.name} in ${directory} has no text tower`, "a teacher has both")
}

async function identityOf({ description, weights }: ClipFolder): Promise<string> {
  return modelIdentity(description.name, await weights(), description.preprocessing)
}
