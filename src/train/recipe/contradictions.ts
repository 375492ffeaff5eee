/** What single keys of a recipe allow but does not go together: a list of rules, of which the first that is broken is said. */
import type { Recipe } from "./schema.ts"

export interface Contradiction {
  /** The key to blame. */
  readonly path: string
  readonly message: string
  readonly hint: string
}

type Rule = (recipe: Recipe) => Contradiction | null

export function contradictionIn(recipe: Recipe): Contradiction | null {
  for (const rule of rules) {
    const broken = rule(recipe)
    if (broken) return broken
  }
  return null
}

const oneLength: Rule = ({ schedule }) => {
  const given = (["steps", "samples", "epochs"] as const).filter((key) => schedule[key] !== null)
  if (given.length < 2) return null
  const names = given.map((key) => `schedule.${key}`).join(" and ")
  return {
    path: `schedule.${given[1]}`,
    message: `${names} both say how long the run is`,
    hint: "keep one of them",
  }
}

const fallingRate: Rule = ({ schedule: { learningRate, minLearningRate } }) => {
  if (minLearningRate <= learningRate) return null
  return {
    path: "schedule.minLearningRate",
    message: `schedule.minLearningRate ${minLearningRate} is above schedule.learningRate ${learningRate}`,
    hint: "the rate falls from the one to the other",
  }
}

const chunkWithinBatch: Rule = ({ batch: { chunk, size } }) => {
  if (chunk === null || chunk <= size) return null
  return {
    path: "batch.chunk",
    message: `batch.chunk ${chunk} is more than the batch of ${size}`,
    hint: "leave it out to encode the batch at once",
  }
}

const somethingLearns: Rule = ({ lock }) => {
  if (!lock.includes("image") || !lock.includes("text")) return null
  return { path: "lock", message: "both towers are locked", hint: "nothing but the temperature would learn" }
}

const hasTeachers: Rule = ({ loss, data, teachers }) => {
  if (loss.kind !== "distill" || data.reinforced || data.format === "reinforced" || teachers.length > 0) return null
  return {
    path: "loss.kind",
    message: "loss.kind distill needs teachers",
    hint: "data.reinforced=true for stored embeddings, or teachers=[...]",
  }
}

const hasWeight: Rule = ({ loss }) => {
  if (loss.kind !== "distill" || loss.weights[0] + loss.weights[1] > 0) return null
  return { path: "loss.weights", message: "loss.weights are both 0", hint: "[0, 1] is distillation alone" }
}

const hasScales: Rule = ({ loss }) => {
  if (loss.kind !== "distill" || loss.weights[1] === 0 || loss.teacherScales.length > 0) return null
  return {
    path: "loss.teacherScales",
    message: "loss.teacherScales is empty",
    hint: "one number per teacher; the papers use [70, 60] (MobileCLIP2) and [100, 100] (MobileCLIP)",
  }
}

/** Without the average after the softmax there is one distribution and one scale. */
const scalePerTeacher: Rule = ({ loss: { teacherScales, averageAfterSoftmax }, teachers }) => {
  if (teacherScales.length === 0) return null
  if (!averageAfterSoftmax && teacherScales.length > 1) {
    return {
      path: "loss.teacherScales",
      message: `loss.teacherScales has ${teacherScales.length} values, and one product over all teachers takes one`,
      hint: "loss.averageAfterSoftmax=true takes one per teacher",
    }
  }
  if (!averageAfterSoftmax || teachers.length === 0 || teachers.length === teacherScales.length) return null
  return {
    path: "loss.teacherScales",
    message: `loss.teacherScales has ${teacherScales.length} values for ${teachers.length} teachers`,
    hint: "give one per teacher, in their order",
  }
}

const rules = [
  oneLength,
  fallingRate,
  chunkWithinBatch,
  somethingLearns,
  hasTeachers,
  hasWeight,
  hasScales,
  scalePerTeacher,
] as const
