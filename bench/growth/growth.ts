/** The table's figures: each row at each of its sizes, in each phase and build. */
import { mkdtempSync } from "node:fs"
import { mkdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../../src/core/arrays/quantile.ts"
import { forgetKept, inputOf, sizeText } from "./input-folder.ts"
import { Measurer } from "./measurer.ts"
import type { Figures, Form, Outcome, Phase, Row, Size, Task } from "./row.ts"

export interface GrowthOptions {
  readonly form: Form
  /** Builds that are compared, by the name of their column: folders of compiled files. */
  readonly builds: Readonly<Record<string, string>>
  /** Inputs are made here, once. */
  readonly folder: string
  readonly limitSeconds: number
  readonly say: (line: string) => void
}

/** One row in one phase, in one build. */
export interface Series {
  readonly row: string
  readonly phase: Phase
  readonly build: string
  /** One for each size. */
  readonly outcomes: readonly Outcome[]
}

export async function measureGrowth(rows: readonly Row[], options: GrowthOptions): Promise<Series[]> {
  await mkdir(options.folder, { recursive: true })
  const found: Series[] = []
  for (const row of rows) found.push(...(await measureRow(row, options)))
  return found
}

interface Growing extends Omit<Series, "outcomes"> {
  readonly outcomes: Outcome[]
}

async function measureRow(row: Row, options: GrowthOptions): Promise<Series[]> {
  const series = Object.keys(options.builds).flatMap((build) =>
    row.phases.map((phase): Growing => ({ row: row.name, phase, build, outcomes: [] })),
  )
  const runs = Object.keys(options.builds).map((build) => new RowRun(row, build, options))
  try {
    for (const size of row.sizes[options.form]) {
      for (const run of runs)
        await run.size(
          size,
          series.filter(({ build }) => build === run.build),
        )
    }
  } finally {
    for (const run of runs) await run[Symbol.asyncDispose]()
  }
  return series
}

/** A median of several runs where one takes so little that others beside it matter. */
const [quickSeconds, runsOfQuick] = [2, 3]

/** A row in one build. */
class RowRun implements AsyncDisposable {
  private readonly cache = mkdtempSync(join(tmpdir(), "growth-cache-"))
  private process: Measurer | null = null

  constructor(
    private readonly row: Row,
    readonly build: string,
    private readonly options: GrowthOptions,
  ) {}

  /**
   * All phases of a size, one after the other. What took too long, or failed, is not tried at a larger size, nor are the
   * phases after it.
   */
  async size(size: Size, series: readonly Growing[]): Promise<void> {
    const { measure, warmUp, name } = this.row
    const { folder, builds, say } = this.options
    const input = await inputOf(this.row, size, folder, say)
    const warmUpInput = await inputOf(this.row, warmUp, folder, say)
    let end: Outcome | null = null
    for (const { phase, outcomes } of series) {
      const task = { dist: builds[this.build]!, measure, size, warmUp, phase, input, warmUpInput }
      end ??= unmeasured(outcomes.at(-1))
      const outcome: Outcome = end ?? (await this.repeated(task))
      end = unmeasured(outcome)
      outcomes.push(outcome)
      say(`${name}, ${phase}, ${sizeText(size)}, ${this.build}: ${outcomeText(outcome)}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process?.[Symbol.asyncDispose]()
    await rm(this.cache, { recursive: true, force: true })
  }

  private async repeated(task: Task): Promise<Outcome> {
    const runs: Figures[] = []
    const most = this.options.form === "short" ? 1 : runsOfQuick
    do {
      const outcome = await this.measure(task)
      if (outcome.kind !== "measured") return outcome
      runs.push(outcome)
    } while (runs.length < most && runs[0]!.seconds < quickSeconds)
    return { kind: "measured", ...medianOf(runs) }
  }

  /** In a new process; at short sizes all are measured by one, because starting it would take longer than the work. */
  private async measure(task: Task): Promise<Outcome> {
    if (task.phase === "first") await forget(task, this.cache)
    this.process ??= new Measurer(this.cache, this.options.limitSeconds)
    const outcome = await this.process.measure(task)
    if (this.options.form === "short" && outcome.kind === "measured") return outcome
    await this.process[Symbol.asyncDispose]()
    this.process = null
    return outcome
  }
}

function medianOf(runs: readonly Figures[]): Figures {
  const of = (name: keyof Figures) => median(runs.map((run) => run[name]))
  return {
    ...{ seconds: of("seconds"), processorSeconds: of("processorSeconds") },
    ...{ bytes: of("bytes"), stallSeconds: of("stallSeconds") },
  }
}

function unmeasured(outcome: Outcome | undefined): Outcome | null {
  return outcome && outcome.kind !== "measured" ? outcome : null
}

/** Removes what builds keep: in their cache folder, and beside the inputs. */
async function forget({ input, warmUpInput }: Task, cache: string): Promise<void> {
  await rm(cache, { recursive: true, force: true })
  await mkdir(cache)
  for (const folder of [input, warmUpInput]) await forgetKept(folder)
}

function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case "measured":
      return `${outcome.seconds.toFixed(2)} s, ${(outcome.bytes / 1e6).toFixed(0)} MB`
    case "over":
      return `over ${outcome.seconds} s`
    case "not there":
      return `not there (${outcome.what})`
    case "failed":
      return outcome.message
    default:
      return outcome satisfies never
  }
}
