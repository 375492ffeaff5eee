/** The teachers that a recipe names, which run beside the student. */
import type * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import type { PullWeights } from "../../hub/pull.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { findModelFiles } from "../../weights/find-model.ts"
import type { Origin } from "../../weights/license.ts"
import { withWeights } from "../../weights/open-weights.ts"
import type { Settings } from "../checkpoints/state.ts"
import { OnlineTeachers } from "../online-teachers.ts"
import type { Recipe } from "../recipe/schema.ts"
import { trainConfigOf } from "../recipe/settings.ts"

interface TeacherFile extends Origin {
  readonly path: string
}

/** Weights of any origin, by what a user calls them; released ones are brought. */
export async function teacherFiles(
  { teachers }: Recipe,
  options: { readonly pull: PullWeights; readonly signal: AbortSignal },
): Promise<TeacherFile[]> {
  const files: TeacherFile[] = []
  for (const name of teachers) {
    const { path } = await findModelFiles(name, { ...options, wantsWeights: true })
    files.push({ name, path, license: await withWeights(path, null, async ({ info }) => info.license) })
  }
  return files
}

/** Null where there are none. */
export async function openTeachers(
  files: readonly TeacherFile[],
  recipe: Recipe,
  info: CheckpointInfo<ModelConfig>,
  device: torch.Device,
) {
  if (files.length === 0) return null
  const teachers = []
  for (const file of files) teachers.push(await readTeacher(file))
  const student = { preprocessing: info.preprocessing, contextLength: info.config.text.contextLength }
  const { chunkSize, precision } = trainConfigOf(recipe, { steps: 1, device })
  return new OnlineTeachers(teachers, student, {
    device,
    ...(chunkSize !== undefined && { chunkSize }),
    ...(precision !== undefined && { precision }),
  })
}

/** Identifies the teachers by the contents of their files, whatever the files are called. */
export async function teacherWeights(files: readonly TeacherFile[]): Promise<Settings> {
  if (files.length === 0) return {}
  const hashes: string[] = []
  for (const { path } of files) hashes.push((await sha256OfFile(path)).slice(0, 16))
  return { teacherWeights: hashes.join(" ") }
}

/** The file is closed afterwards, so all values are read now. */
function readTeacher({ name, path }: TeacherFile) {
  return withWeights(path, null, async ({ model, info }) => {
    if (!("encodeText" in model)) throw new UserError(`${name} is an image tower alone`, "a teacher has both towers")
    for (const parameter of model.namedParameters().values()) {
      const values = parameter.read()
      parameter.source = () => values
    }
    return { name, model, preprocessing: info.preprocessing }
  })
}
