/** All that is written about a run while it goes on, in its folder: metrics, TensorBoard's events, the report. */
import { join } from "node:path"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Tokenizer } from "../../core/text/tokenizer.ts"
import { type EvaluationEntry, isStep, type StepEntry } from "./entries.ts"
import { Live, type LiveStatus } from "./live.ts"
import { MetricsLog, readMetrics } from "./metrics.ts"
import { type TrainingReport, writeTrainingReport } from "./report/page.ts"
import { pictureGrid, type SeenBatch, type SeenSample, seenSamples } from "./samples.ts"
import { EventFile } from "./tensorboard/writer.ts"

const METRICS = "metrics.jsonl"
/** Of a batch, for the report and for TensorBoard's grid. */
const SAMPLES = 20
const GRID = { columns: 5, rows: 4 } as const

interface RunLogOptions {
  /** The step that the run goes on from; 0: it begins. */
  readonly resumeStep?: number
  /** Steps that share a line. */
  readonly every?: number
  /** Bytes in use, for the live line. */
  readonly memory?: () => number
}

export class RunLog {
  private readonly live: Live
  private samples: readonly SeenSample[] = []
  /** Of the whole run, in order. */
  readonly evaluations: EvaluationEntry[]

  private constructor(
    private readonly folder: string,
    private readonly metrics: MetricsLog,
    private readonly events: EventFile,
    memory?: () => number,
  ) {
    this.live = new Live(memory)
    this.evaluations = metrics.earlier.filter((entry): entry is EvaluationEntry => !isStep(entry))
  }

  /** The folder must exist. */
  static async open(folder: string, { memory, ...options }: RunLogOptions = {}): Promise<RunLog> {
    const metrics = await MetricsLog.open(join(folder, METRICS), options)
    const events = await EventFile.open(join(folder, "tensorboard"), options)
    return new RunLog(folder, metrics, events, memory)
  }

  /** A step that was made; returns what to show of it. */
  step(entry: StepEntry): LiveStatus {
    this.metrics.add(entry)
    this.events.add(entry)
    return this.live.update(entry)
  }

  evaluation(entry: EvaluationEntry): void {
    this.evaluations.push(entry)
    this.metrics.add(entry)
    this.events.add(entry)
  }

  /** A batch as the model sees it, before step `step`; once is enough. */
  async seen(
    step: number,
    batch: SeenBatch,
    options: { readonly preprocessing: Preprocessing; readonly tokenizer: Tokenizer; readonly contextLength: number },
  ): Promise<void> {
    this.samples = await seenSamples(batch, { ...options, count: SAMPLES })
    this.events.addPicture(step, "samples", await pictureGrid(batch.images, options.preprocessing, GRID))
  }

  /** So that the file reaches a checkpoint's step. */
  flush(): void {
    this.metrics.flush()
  }

  /** `report.html` of the run so far. */
  async writeReport(report: RunReport): Promise<void> {
    this.flush()
    const entries = await readMetrics(join(this.folder, METRICS))
    await writeTrainingReport(this.folder, { ...report, entries, samples: this.samples })
  }

  close(): void {
    this.metrics.close()
    this.events.close()
  }
}

/** What the log itself does not know. */
export type RunReport = Omit<TrainingReport, "entries" | "samples">
