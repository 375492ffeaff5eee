/** What the quickstart did, as `report.html` (one file, needs no network) and `report.json`. */
import { join } from "node:path"
import type { RetrievalResult, TaskResult } from "../../evaluate/tasks.ts"
import { writeAtomically } from "../../host/files.ts"
import type { Machine } from "./machine.ts"
import { reportPage } from "./report-page.ts"

export interface ReportData {
  /** Wall time of the whole run. */
  readonly seconds: number
  /** Picture-caption pairs the model was trained on, repeats counted. */
  readonly samplesSeen: number
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
  /** In order of steps; any density. */
  readonly losses: readonly LossPoint[]
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

export interface LossPoint {
  readonly step: number
  readonly loss: number
  readonly learningRate: number
  /** exp(logitScale), the inverse of the temperature */
  readonly logitScale: number
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

/** Writes both files into `dir`, which must exist. */
export async function writeReport(dir: string, data: ReportData): Promise<void> {
  await writeAtomically(join(dir, "report.html"), [await reportPage(data)])
  await writeAtomically(join(dir, "report.json"), [`${JSON.stringify(reportJson(data), null, 2)}\n`])
}

/** The figures without curves, pictures and confusions. */
export function reportJson(data: ReportData): object {
  const { losses, pictures, next, tasks, ...figures } = data
  return { ...figures, tasks: tasks.map(({ confusion, classNames, ...figures }) => figures) }
}
