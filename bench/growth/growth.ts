/** The table's figures: each row at each of its sizes, in each phase and build. */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "../../src/core/arrays/quantile.ts"
import { forgetKept, inputOf, sizeText } from "./input-folder.ts"
import { measure } from "./measure.ts"
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
  for (const size of row.sizes[options.form]) {
    for (const build of Object.keys(options.builds)) {
      const own = series.filter((each) => each.build === build)
      await inCacheFolder((cache) => measureSize(row, size, own, { ...options, cache }))
    }
  }
  return series
}

async function inCacheFolder(run: (cache: string) => Promise<void>): Promise<void> {
  const cache = await mkdtemp(join(tmpdir(), "growth-cache-"))
  try {
    await run(cache)
  } finally {
    await rm(cache, { recursive: true, force: true })
  }
}

interface SizeOptions extends GrowthOptions {
  readonly cache: string
}

/**
 * All phases of a size in one build, one after the other. What took too long, or failed, is not tried at a larger size, nor
 * are the phases after it.
 */
async function measureSize(row: Row, size: Size, series: readonly Growing[], options: SizeOptions): Promise<void> {
  const { folder, say } = options
  const input = await inputOf(row, size, folder, say)
  const warmUpInput = await inputOf(row, row.warmUp, folder, say)
  let end: Outcome | null = null
  for (const { phase, build, outcomes } of series) {
    const { measure, warmUp } = row
    const task = { dist: options.builds[build]!, measure, size, warmUp, phase, input, warmUpInput }
    end ??= unmeasured(outcomes.at(-1))
    const outcome: Outcome = end ?? (await repeated(task, options))
    end = unmeasured(outcome)
    outcomes.push(outcome)
    say(`${row.name}, ${phase}, ${sizeText(size)}, ${build}: ${outcomeText(outcome)}`)
  }
}

function unmeasured(outcome: Outcome | undefined): Outcome | null {
  return outcome && outcome.kind !== "measured" ? outcome : null
}

/** A median of several runs where one takes so little that others beside it matter. */
const [quickSeconds, runsOfQuick] = [2, 3]

async function repeated(task: Task, { form, cache, limitSeconds }: SizeOptions): Promise<Outcome> {
  const runs: Figures[] = []
  const most = form === "short" ? 1 : runsOfQuick
  do {
    if (task.phase === "first") await forget(task, cache)
    const outcome = await measure(task, cache, limitSeconds)
    if (outcome.kind !== "measured") return outcome
    runs.push(outcome)
  } while (runs.length < most && runs[0]!.seconds < quickSeconds)
  const of = (name: keyof Figures) => median(runs.map((run) => run[name]))
  return {
    kind: "measured",
    ...{ seconds: of("seconds"), processorSeconds: of("processorSeconds") },
    ...{ bytes: of("bytes"), stallSeconds: of("stallSeconds") },
  }
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
