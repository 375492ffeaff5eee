/** The teachers that a recipe names, which run beside the student. */
import { existsSync } from "node:fs"
import type * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import { weightsFile } from "../../hub/choose-weights.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { withWeights } from "../../weights/open-weights.ts"
import type { Settings } from "../checkpoints/state.ts"
import { OnlineTeachers } from "../online-teachers.ts"
import type { Recipe } from "../recipe/schema.ts"
import { trainConfigOf } from "../recipe/settings.ts"

/** Null where the recipe names none. */
export async function openTeachers(recipe: Recipe, info: CheckpointInfo<ModelConfig>, device: torch.Device) {
  if (recipe.teachers.length === 0) return null
  const teachers = []
  for (const name of recipe.teachers) teachers.push(await readTeacher(name))
  const student = { preprocessing: info.preprocessing, contextLength: info.config.text.contextLength }
  const { chunkSize, precision } = trainConfigOf(recipe, { steps: 1, device })
  return new OnlineTeachers(teachers, student, {
    device,
    ...(chunkSize !== undefined && { chunkSize }),
    ...(precision !== undefined && { precision }),
  })
}

/** Identifies the teachers by the contents of their files, whatever the files are called. */
export async function teacherWeights({ teachers }: Recipe): Promise<Settings> {
  if (teachers.length === 0) return {}
  const hashes: string[] = []
  for (const name of teachers) hashes.push((await sha256OfFile(teacherFile(name))).slice(0, 16))
  return { teacherWeights: hashes.join(" ") }
}

function teacherFile(name: string): string {
  return existsSync(name) ? weightsFile(name) : name
}

/** The file is closed afterwards, so all values are read now. */
function readTeacher(name: string) {
  return withWeights(teacherFile(name), null, async ({ model, info }) => {
    if (!("encodeText" in model)) throw new UserError(`${name} is an image tower alone`, "a teacher has both towers")
    for (const parameter of model.namedParameters().values()) {
      const values = parameter.read()
      parameter.source = () => values
    }
    return { name, model, preprocessing: info.preprocessing }
  })
}
