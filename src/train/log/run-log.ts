/** What is written into the folder of a run while it goes on: metrics, TensorBoard's events, the report. */
import { join } from "node:path"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Tokenizer } from "../../core/text/tokenizer.ts"
import type { EvaluationEntry, StepEntry } from "./entries.ts"
import { MetricsLog, readMetrics } from "./metrics.ts"
import { type TrainingReport, writeTrainingReport } from "./report/page.ts"
import { pictureGrid, type SeenBatch, type SeenSample, seenSamples } from "./samples.ts"
import { type RunStatus, StatusLine } from "./status-line.ts"
import { EventFile } from "./tensorboard/writer.ts"

const METRICS = "metrics.jsonl"
/** Samples of a batch that the report and TensorBoard's grid show. */
const SAMPLES = 20
const GRID = { columns: 5, rows: 4 } as const

interface RunLogOptions {
  /** The step that the run goes on from; 0: the run begins. */
  readonly resumeStep?: number
  /** Steps that share a line. */
  readonly every?: number
  /** Gives the bytes in use, for the status line. */
  readonly memory?: () => number
}

export class RunLog {
  private readonly statusLine: StatusLine
  private samples: readonly SeenSample[] = []
  /** Evaluations of the whole run, in order. */
  readonly evaluations: EvaluationEntry[]

  private constructor(
    private readonly folder: string,
    private readonly metrics: MetricsLog,
    private readonly events: EventFile,
    private readonly resumeStep: number,
    memory?: () => number,
  ) {
    this.statusLine = new StatusLine(memory)
    this.evaluations = [...metrics.earlier]
  }

  /** The folder must exist. */
  static async open(folder: string, { memory, ...options }: RunLogOptions = {}): Promise<RunLog> {
    const metrics = await MetricsLog.open(join(folder, METRICS), options)
    const events = await EventFile.open(join(folder, "tensorboard"), options)
    return new RunLog(folder, metrics, events, options.resumeStep ?? 0, memory)
  }

  /** Adds a step that was made; returns what the status line shows. */
  step(made: StepEntry): RunStatus {
    const entry =
      made.step === this.resumeStep + 1 && this.resumeStep > 0 ? { ...made, isResumed: true as const } : made
    this.metrics.add(entry)
    this.events.add(entry)
    return this.statusLine.update(entry)
  }

  evaluation(entry: EvaluationEntry): void {
    this.evaluations.push(entry)
    this.metrics.add(entry)
    this.events.add(entry)
  }

  /** Keeps some samples of a batch as the model sees them, before step `step`. One call for each run is enough. */
  async seen(
    step: number,
    batch: SeenBatch,
    options: { readonly preprocessing: Preprocessing; readonly tokenizer: Tokenizer; readonly contextLength: number },
  ): Promise<void> {
    this.samples = await seenSamples(batch, { ...options, count: SAMPLES })
    this.events.addPicture(step, "samples", await pictureGrid(batch.images, options.preprocessing, GRID))
  }

  /** Writes the metrics so far, so that their file reaches the step of a checkpoint. */
  flush(): void {
    this.metrics.flush()
  }

  /** Writes `report.html` of the run so far. */
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

/** The parts of a report that the log itself does not know. */
export type RunReport = Omit<TrainingReport, "entries" | "samples">
