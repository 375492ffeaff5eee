/** What the quickstart's report is made of. */
import type { CaptionAccuracy } from "../../data/scenes/caption-accuracy.ts"
import type { CurvePoint, LearningCurve, Spread } from "../../evaluate/efficiency.ts"
import type { RetrievalResult, TaskResult } from "../../evaluate/tasks.ts"
import type { Machine } from "../../report/machine.ts"
import type { StepEntry } from "../../train/log/entries.ts"
import type { StepTimes } from "../comparison/step-time.ts"

export interface ReportData {
  /** Wall time of the whole run. */
  readonly seconds: number
  /** Picture-caption pairs the model was trained on, repeats counted. */
  readonly samplesSeen: number
  /** Different pictures among them. */
  readonly uniquePictures: number
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
  /** Scores along the way of the student without and with reinforcement, for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** The average of guessing. */
  readonly guessing: number
  /** Over the seeds: samples that plain training needs for its best, over those of reinforced training. */
  readonly efficiencyRatio: Spread
  /** Time of a reinforced step over that of a plain one with as many captions. */
  readonly stepTimeRatio: number
  readonly stepTime: StepTimes
  readonly teachers: readonly (CurvePoint & { readonly name: string })[]
  readonly captioner: CurvePoint & { readonly captions: CaptionAccuracy }
  /** Of the first students, in order of steps. */
  readonly losses: { readonly plain: readonly StepEntry[]; readonly reinforced: readonly StepEntry[] }
  /** Of the exported model, which is the first reinforced student. */
  readonly tasks: readonly ReportTask[]
  readonly retrieval: RetrievalResult | null
  /** Pictures the model was not trained on; about 24 make a good grid. */
  readonly pictures: readonly ReportPicture[]
  readonly stages: readonly { readonly name: string; readonly seconds: number }[]
  readonly machine: Machine
  readonly versions: {
    readonly mobileclip: string
    readonly libtorch: string
    readonly onnxruntime: string
    readonly node: string
  }
  /** Commands to try next. */
  readonly next: readonly { readonly command: string; readonly purpose: string }[]
}

export interface ReportTask extends TaskResult {
  /** Names the rows and columns of the confusion. */
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
