/** Values of a recipe that are allowed by themselves but not together: a list of rules. The first broken one is reported. */
import { captioners, isCaptioner, type ModelName } from "../../core/family/variants.ts"
import { distils, hasTeaching, hasTwoTerms, lossWeights } from "./resolved.ts"
import { modelOfStart, type Recipe } from "./schema.ts"

interface Contradiction {
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

/** A captioner also has a decoder that learns. */
const somethingLearns: Rule = ({ lock, loss }) => {
  if (!lock.includes("image") || !lock.includes("text") || loss.kind === "coca") return null
  return { path: "lock", message: "both towers are locked", hint: "nothing but the temperature would learn" }
}

const lockedKnowsSomething: Rule = ({ lock, start }) => {
  if (lock.length === 0 || start !== null) return null
  return {
    path: "lock",
    message: `the ${lock.join(" and ")} tower is locked and has random weights`,
    hint: "start=... (--pretrained) names its weights",
  }
}

const startIsNamed: Rule = ({ model, start }) => {
  if (model !== modelOfStart || start !== null) return null
  return {
    path: "model",
    message: "model is that of the weights to begin with, and none are named",
    hint: "start=... (--pretrained) names them; or give the name of a model",
  }
}

const captionerLoss: Rule = ({ model, loss }) => {
  if (!isCaptioner(model as ModelName) || loss.kind === "coca") return null
  return {
    path: "loss.kind",
    message: `${model} writes captions, which loss.kind ${loss.kind} does not teach`,
    hint: "set loss.kind=coca",
  }
}

const lossCaptioner: Rule = ({ model, loss }) => {
  if (loss.kind !== "coca" || model === modelOfStart || isCaptioner(model as ModelName)) return null
  return {
    path: "loss.kind",
    message: `loss.kind coca teaches to write captions, which ${model} does not`,
    hint: `set model to a captioner: ${Object.keys(captioners).join(", ")}`,
  }
}

const sampledWordsOfCaptions: Rule = ({ loss }) => {
  if (loss.sampledWords === null || loss.kind === "coca") return null
  return {
    path: "loss.sampledWords",
    message: `loss.sampledWords belongs to captions, and loss.kind is ${loss.kind}`,
    hint: "leave it out",
  }
}

/** A captioner learns one caption of each picture. */
const oneCaption: Rule = ({ loss, data }) => {
  if (loss.kind !== "coca" || !hasTwoTerms({ data })) return null
  return {
    path: "data.reinforced",
    message: "loss.kind coca has no second term for synthetic captions",
    hint: "data.mixSynthetic=0.5 puts them in place of half of the real ones",
  }
}

const hasTeachers: Rule = (recipe) => {
  const { loss } = recipe
  if (hasTeaching(recipe) || !(loss.kind === "distill" || (loss.kind === "siglip" && lossWeights(recipe)[1] > 0)))
    return null
  return {
    path: loss.kind === "distill" ? "loss.kind" : "loss.weights",
    message: `loss.kind ${loss.kind}${loss.kind === "distill" ? "" : " with a weight for distillation"} needs teachers`,
    hint: "data.reinforced=true for stored embeddings, or teachers=[...]",
  }
}

const teachersTeach: Rule = (recipe) => {
  const { teachers, loss } = recipe
  if (teachers.length === 0 || distils(recipe)) return null
  const why = loss.kind === "distill" || loss.kind === "siglip" ? "their weight is 0" : `loss.kind is ${loss.kind}`
  return {
    path: "teachers",
    message: `teachers cost time and have no effect: ${why}`,
    hint: `set ${why.startsWith("their") ? "loss.weights=[0,1]" : "loss.kind=distill"}, or leave them out`,
  }
}

const hasWeight: Rule = (recipe) => {
  const [plain, distilled] = lossWeights(recipe)
  if (recipe.loss.kind === "coca" || recipe.loss.kind === "clip" || plain + distilled > 0) return null
  return { path: "loss.weights", message: "loss.weights are both 0", hint: "[0, 1] is distillation alone" }
}

const hasScales: Rule = (recipe) => {
  if (!distils(recipe) || recipe.loss.teacherScales.length > 0) return null
  return {
    path: "loss.teacherScales",
    message: "loss.teacherScales is empty",
    hint: "one number per teacher; the papers use [70, 60] (MobileCLIP2) and [100, 100] (MobileCLIP); loss.weights=[1,0] does without",
  }
}

/** Without the average after the softmax there is one distribution, and one scale. */
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

const widthPerTeacher: Rule = ({ loss: { teacherScales, averageAfterSoftmax }, data: { teacherWidths } }) => {
  if (teacherWidths.length === 0 || !averageAfterSoftmax || teacherScales.length === 0) return null
  if (teacherWidths.length === teacherScales.length) return null
  return {
    path: "data.teacherWidths",
    message: `data.teacherWidths has ${teacherWidths.length} values and loss.teacherScales ${teacherScales.length}`,
    hint: "give one of each per teacher, in their order",
  }
}

const warmupOfAverage: Rule = ({ ema }) => {
  if (!ema.warmup || ema.decay !== null) return null
  return {
    path: "ema.warmup",
    message: "ema.warmup belongs to an average, and there is none",
    hint: "set ema.decay=0.9995",
  }
}

const rangesOfPairs: Rule = ({ rangeAugment, loss }) => {
  if (rangeAugment === null || loss.kind !== "coca") return null
  return {
    path: "rangeAugment",
    message: "rangeAugment belongs to models without a decoder, and loss.kind coca has one",
    hint: "leave it out",
  }
}

const rules = [
  oneLength,
  fallingRate,
  chunkWithinBatch,
  somethingLearns,
  lockedKnowsSomething,
  startIsNamed,
  captionerLoss,
  lossCaptioner,
  sampledWordsOfCaptions,
  oneCaption,
  hasTeachers,
  hasWeight,
  teachersTeach,
  hasScales,
  scalePerTeacher,
  widthPerTeacher,
  warmupOfAverage,
  rangesOfPairs,
] as const
