/** What the quickstart's report is made of, from what came of the stages. */
import "../../host/no-telemetry.ts"

import { env as onnxruntime } from "onnxruntime-node"
import * as torch from "../../../torch/index.ts"
import { expandShards } from "../../data/expand.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import { type CaptionAccuracy, captionAccuracy } from "../../data/scenes/caption-accuracy.ts"
import { type SceneRecord, sceneOf } from "../../data/scenes/record.ts"
import { chanceOf, TASKS } from "../../data/scenes/tasks.ts"
import type { CurvePoint, LearningCurve, LearningEfficiency } from "../../evaluate/efficiency.ts"
import type { RetrievalResult, TaskResult } from "../../evaluate/tasks.ts"
import { version } from "../../host/version.ts"
import { buildModel } from "../../model/checkpoint/checkpoint.ts"
import type { Clip } from "../../model/clip.ts"
import { type Machine, thisMachine } from "../../report/machine.ts"
import { type StepEntry, totalLoss } from "../../train/log/entries.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import type { Clock, Stage } from "../comparison/stages.ts"
import type { StepTimes } from "../comparison/step-time.ts"
import { curveOf, type StudentResults } from "../comparison/students.ts"
import { type NextCommand, nextCommands } from "./next-commands.ts"
import type { QuickstartOptions } from "./recipe.ts"
import type { SuggestedLabels } from "./suggested-labels.ts"

export interface ReportData {
  /** Wall time of the whole run. */
  readonly seconds: number
  /** Picture-caption pairs the model was trained on, repeats counted. */
  readonly samplesSeen: number
  /** Different pictures among them. */
  readonly uniquePictures: number
  /** Other pictures, from whose precise captions the teachers and the captioner learned. */
  readonly precisePictures: number
  readonly model: {
    readonly name: string
    /** Side of the square the image tower sees, in pixels. */
    readonly imageSize: number
    readonly embedDim: number
    /** As trained; `total` also counts what belongs to neither tower. */
    readonly parameters: { readonly image: number; readonly text: number; readonly total: number }
  }
  readonly training: {
    readonly steps: number
    readonly batchSize: number
    readonly samplesPerSecond: number
    readonly finalLoss: number
  }
  /** Scores of the plain and the reinforced student during training, for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** The average accuracy of guessing. */
  readonly guessing: number
  /** What plain training needs over what reinforced training needs to be as good, with its spread over the seeds. */
  readonly efficiency: LearningEfficiency
  readonly stepTime: StepTimes
  readonly teachers: readonly (CurvePoint & { readonly name: string })[]
  readonly captioner: CurvePoint & { readonly captions: CaptionAccuracy }
  /** Log entries of the first students, in the order of steps. */
  readonly losses: { readonly plain: readonly StepEntry[]; readonly reinforced: readonly StepEntry[] }
  /** Scores of the exported model, which is the first reinforced student. */
  readonly tasks: readonly ReportTask[]
  readonly retrieval: RetrievalResult | null
  /** Pictures the model was not trained on; about 24 make a good grid. */
  readonly pictures: readonly ReportPicture[]
  /** Labels that the exported model is good at, as measured; null where it is good at none. The pictures are labelled with these. */
  readonly suggestion: SuggestedLabels | null
  readonly stages: readonly Stage[]
  readonly machine: Machine
  readonly versions: {
    readonly mobileclip: string
    readonly libtorch: string
    readonly onnxruntime: string
    readonly node: string
  }
  readonly next: readonly NextCommand[]
}

export interface ReportTask extends TaskResult {
  /** Names of the rows and columns of the confusion matrix. */
  readonly classNames: readonly string[]
}

export interface ReportPicture {
  readonly jpeg: Uint8Array
  readonly caption: string
  /** The best few labels, best first. */
  readonly predictions: readonly { readonly label: string; readonly probability: number }[]
  /** All labels that are right. */
  readonly truth: readonly string[]
}

/** The mean accuracy of guessing over the tasks of the scenes dataset. */
export const guessing = TASKS.map(chanceOf).reduce((sum, chance) => sum + chance, 0) / TASKS.length

/** Results of the stages. The first reinforced student is the one that was exported and evaluated. */
interface Outcome extends Pick<ReportData, "tasks" | "retrieval" | "pictures" | "suggestion"> {
  readonly teachers: readonly TrainingResult[]
  readonly captioner: TrainingResult
  readonly captions: CaptionAccuracy
  /** How the noisy set was reinforced. */
  readonly commands: readonly string[]
  readonly stepTime: StepTimes
  readonly students: StudentResults
}

export function reportData(outcome: Outcome, options: QuickstartOptions, clock: Clock): ReportData {
  const { recipe } = options
  const { teachers, captioner, captions, commands, stepTime, students, tasks, retrieval, pictures, suggestion } =
    outcome
  const training = students.first.reinforced
  return {
    seconds: clock.seconds(),
    samplesSeen: training.info.samplesSeen,
    uniquePictures: recipe.scenes.noisy,
    precisePictures: recipe.scenes.precise,
    model: describeModel(training),
    training: describeTraining(training),
    plain: students.plain,
    reinforced: students.reinforced,
    guessing,
    efficiency: students.efficiency,
    stepTime,
    teachers: recipe.teachers.map(({ name }, i) => ({ name, ...curveOf(teachers[i]!).at(-1)! })),
    captioner: { ...curveOf(captioner).at(-1)!, captions },
    losses: { plain: students.first.plain.steps, reinforced: training.steps },
    tasks,
    retrieval,
    pictures,
    suggestion,
    stages: clock.stages,
    machine: thisMachine(),
    versions: {
      mobileclip: version(),
      libtorch: torch.version(),
      onnxruntime: onnxruntime.versions.node ?? "unknown",
      node: process.versions.node,
    },
    next: nextCommands(options, commands, suggestion, rightText(pictures)),
  }
}

/** Whether the label that comes first is right. */
export function isRight({ predictions, truth }: ReportPicture): boolean {
  return predictions[0] !== undefined && truth.includes(predictions[0].label)
}

/** "22 of 24" */
export function rightText(pictures: readonly ReportPicture[]): string {
  return `${pictures.filter(isRight).length} of ${pictures.length}`
}

function describeModel({ info }: TrainingResult): ReportData["model"] {
  const { name, config } = info
  const model = buildModel(config) as Clip
  const parameters = { image: model.image.learnedSize(), text: model.text.learnedSize(), total: model.learnedSize() }
  return { name, imageSize: config.imageSize, embedDim: config.embedDim, parameters }
}

function describeTraining({ info, step, steps, samplesPerSecond }: TrainingResult): ReportData["training"] {
  const batchSize = info.samplesSeen / step
  return { steps: step, batchSize, samplesPerSecond, finalLoss: totalLoss(steps.at(-1)!) }
}

/** How true the synthetic captions of shards of scenes are. */
export async function judgeCaptions(shards: string): Promise<CaptionAccuracy> {
  const scenes: SceneRecord[] = []
  const captions: string[] = []
  for (const shard of await expandShards(shards)) {
    for await (const sample of readSamples(shard, () => {})) {
      const scene = sceneOf(sample.fields, `${shard}: ${sample.key}`)
      for (const caption of [...sample.synTexts.values()].flat()) {
        scenes.push(scene)
        captions.push(caption)
      }
    }
  }
  const judged = Object.entries(captionAccuracy(scenes, captions))
  // Where no caption says anything about colour, for example, the share is 0.
  const shares = judged.map(([what, share]) => [what, Number.isNaN(share) ? 0 : share])
  const { average: _, ...parts } = Object.fromEntries(shares) as unknown as CaptionAccuracy
  const values = Object.values(parts)
  return { ...parts, average: values.reduce((sum, share) => sum + share, 0) / values.length }
}
