/** The status line of a run while it trains: means over the last steps. */
import { meanOfFinite, type StepEntry, totalLoss } from "./entries.ts"

/** Steps whose means are shown. */
const WINDOW = 20

export interface RunStatus {
  readonly loss: number
  readonly samplesPerSecond: number
  /** Share of the time spent waiting for batches. */
  readonly dataWait: number
  readonly learningRate: number
  readonly logitScale: number
  /** Bytes in use: those of the device where it reports them, else those of the process. */
  readonly memory: number
}

export class StatusLine {
  private readonly recent: StepEntry[] = []

  /** @param memory gives the bytes in use; called at every step */
  constructor(private readonly memory: () => number = () => process.memoryUsage.rss()) {}

  update(entry: StepEntry): RunStatus {
    this.recent.push(entry)
    if (this.recent.length > WINDOW) this.recent.shift()
    const seconds = this.sum((step) => step.seconds)
    return {
      loss: meanOfFinite(this.recent.map(totalLoss)),
      samplesPerSecond: seconds > 0 ? this.samples() / seconds : 0,
      dataWait: seconds > 0 ? this.sum((step) => step.dataSeconds) / seconds : 0,
      learningRate: entry.learningRate,
      logitScale: entry.logitScale,
      memory: this.memory(),
    }
  }

  /** Samples of the steps in the window. */
  private samples(): number {
    const { step, samplesSeen } = this.recent.at(-1)!
    return (samplesSeen / step) * this.recent.length
  }

  private sum(value: (entry: StepEntry) => number): number {
    return this.recent.reduce((sum, entry) => sum + value(entry), 0)
  }
}

/** loss 2.314  wait 1.2%  lr 9.8e-4  scale 34.1  1.4 GB */
export function statusText({ loss, dataWait, learningRate, logitScale, memory }: RunStatus): string {
  return [
    `loss ${loss.toFixed(3)}`,
    `wait ${(100 * dataWait).toFixed(1)}%`,
    `lr ${learningRate.toExponential(1)}`,
    `scale ${logitScale.toFixed(1)}`,
    `${(memory / 1e9).toFixed(1)} GB`,
  ].join("  ")
}
