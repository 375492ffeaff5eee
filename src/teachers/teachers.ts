/** The ensemble of `reinforce embed`: teachers in the order they are named, whatever runs them. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { ensembleIdentity, modelIdentity } from "../core/inference/teacher-identity.ts"
import { openAll } from "../core/open-all.ts"
import type { LoadOptions } from "../run/load-options.ts"
import { type ClipFolder, type FolderOptions, readClipFolder, runOnce } from "../run/node.ts"
import type { ModelSource } from "./model-source.ts"
import { onRuntime, precisionIn, type RuntimeOptions, torchOptions } from "./runtime.ts"

/** Opens them one after the other; where one fails, those before it are closed. */
export async function openTeachers(sources: readonly ModelSource[], options: RuntimeOptions = {}): Promise<Teacher[]> {
  const { all } = await openAll(sources, (source) => openSource(source, options))
  return [...all]
}

/** The identity of the ensemble that `openTeachers` opens, from its files alone. */
export async function teachersIdentity(sources: readonly ModelSource[], options: RuntimeOptions = {}): Promise<string> {
  const members: { readonly identity: string }[] = []
  for (const source of sources) members.push({ identity: await sourceIdentity(source, options) })
  return ensembleIdentity(members)
}

function sourceIdentity(source: ModelSource, options: RuntimeOptions): Promise<string> {
  return onRuntime(source, options, {
    onnx: teacherIdentity,
    async libtorch() {
      const { torchIdentity } = await import("./torch-teacher.ts")
      return async ({ info: { preprocessing } }, info) =>
        torchIdentity({ ...info, preprocessing }, precisionIn(options))
    },
  })
}

function openSource(source: ModelSource, options: RuntimeOptions): Promise<Teacher> {
  return onRuntime(source, options, {
    onnx: openTeacher,
    async libtorch() {
      const { torchTeacher } = await import("./torch-teacher.ts")
      const settings = await torchOptions(options)
      return async ({ model, info: { preprocessing } }, info) => {
        if ("encodeText" in model) return torchTeacher(model, { ...info, preprocessing }, settings)
        throw new UserError(`${source.name} is an image tower alone`, "a teacher has both")
      }
    },
  })
}

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
async function teacherIdentity(directory: string, options: FolderOptions = {}): Promise<string> {
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
