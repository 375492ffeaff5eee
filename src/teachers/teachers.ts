/** The ensemble of `reinforce embed`: teachers in the order they are named, whatever runs them. */
import { UserError } from "../core/errors.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { ensembleIdentity } from "../core/inference/teacher-identity.ts"
import type { ModelSource } from "./model-source.ts"
import { openTeacher, teacherIdentity } from "./onnx-teacher.ts"
import { onRuntime, precisionIn, type RuntimeOptions, torchOptions } from "./runtime.ts"

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
