/** The ensemble of `reinforce embed`: teachers in the order they are named, whatever runs them. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { ensembleIdentity } from "../core/inference/teacher-identity.ts"
import type { ModelSource } from "./model-source.ts"
import { openTeacher, teacherIdentity } from "./node-teacher.ts"
import {
  loadOptions,
  onnxDtype,
  prepared,
  type RuntimeOptions,
  runtimeOf,
  torchOptions,
  withCheckpointFile,
} from "./runtime.ts"

/** Opens them one after the other; where one fails, those before it are closed. */
export async function openTeachers(sources: readonly ModelSource[], options: RuntimeOptions = {}): Promise<Teacher[]> {
  const teachers: Teacher[] = []
  try {
    for (const source of sources) teachers.push(await openSource(source, options))
    return teachers
  } catch (error) {
    await Promise.all(teachers.map((teacher) => teacher[Symbol.asyncDispose]()))
    throw error
  }
}

/** The identity of the ensemble that `openTeachers` opens, from its files alone. */
export async function teachersIdentity(sources: readonly ModelSource[], options: RuntimeOptions = {}): Promise<string> {
  const members: { readonly identity: string }[] = []
  for (const source of sources) members.push({ identity: await sourceIdentity(source, options) })
  return ensembleIdentity(members)
}

async function sourceIdentity(source: ModelSource, options: RuntimeOptions): Promise<string> {
  const { name } = source
  if (runtimeOf(source, options) !== "libtorch") {
    const [{ path }, dtype] = [await prepared(source, options), onnxDtype(options)]
    return teacherIdentity(path, { name, ...(dtype && { dtype }) })
  }
  const { torchIdentity } = await import("./torch-teacher.ts")
  return withCheckpointFile(source, async ({ info: { preprocessing } }, weights) =>
    torchIdentity({ name, preprocessing, weights }, options.dtype ?? "fp32"),
  )
}

async function openSource(source: ModelSource, options: RuntimeOptions): Promise<Teacher> {
  if (runtimeOf(source, options) === "libtorch") return torchSource(source, options)
  const { name, path } = await prepared(source, options)
  const dtype = onnxDtype(options)
  return openTeacher(path, { ...loadOptions(options), name, ...(dtype && { dtype }) })
}

async function torchSource(source: ModelSource, options: RuntimeOptions): Promise<Teacher> {
  // libtorch may be absent where nothing is asked of it.
  const { torchTeacher } = await import("./torch-teacher.ts")
  const settings = await torchOptions(options)
  return withCheckpointFile(source, async ({ model, info }, weights) => {
    if (!("encodeText" in model)) throw new UserError(`${source.name} is an image tower alone`, "a teacher has both")
    return torchTeacher(model, { name: source.name, preprocessing: info.preprocessing, weights }, settings)
  })
}
