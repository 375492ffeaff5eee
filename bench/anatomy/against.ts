/** The same anatomy in two builds, in turn, each in processes of its own: before and after. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { median } from "../../src/core/arrays/quantile.ts"
import { UserError } from "../../src/core/errors.ts"
import type { Anatomy, Part } from "./anatomy.ts"
import { type Kind, kinds } from "./operators.ts"
import { type Report, table } from "./report.ts"

export interface Comparison {
  readonly before: Report
  readonly after: Report
  readonly models: readonly ComparedModel[]
}

interface ComparedModel {
  readonly model: string
  readonly batch: number
  /** Medians over the rounds, in milliseconds, and their ratio. */
  readonly step: Pair
  readonly processor: Pair
  readonly pageFaults: Pair
  readonly parts: readonly (Pair & { readonly kind: Kind })[]
}

interface Pair {
  readonly before: number
  readonly after: number
}

const script = fileURLToPath(new URL("../anatomy.js", import.meta.url))

/**
 * @param checkout another one, built, with this bench
 * @param args what each process is given
 * @throws UserError where it has no such bench
 */
export function compare(checkout: string, args: readonly string[], rounds: number): Comparison {
  const other = join(checkout, "dist/bench/anatomy.js")
  if (!existsSync(other))
    throw new UserError(`${other} is not there`, "name a checkout that has this bench, and run `npm run build` in it")
  const turns = Array.from({ length: rounds }, () => ({ before: run(other, args), after: run(script, args) }))
  const { before, after } = turns[0]!
  return { before, after, models: after.anatomies.map((_, i) => comparedModel(turns, i)) }
}

function run(program: string, args: readonly string[]): Report {
  const { status, signal, stdout } = spawnSync(process.execPath, [program, ...args, "--json"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "inherit"],
  })
  // The process has said why.
  if (status !== 0) throw new UserError(`${program} ended with ${signal ?? `exit code ${status}`}`, "mend that first")
  return JSON.parse(stdout) as Report
}

type Turn = Readonly<Record<"before" | "after", Report>>

function comparedModel(turns: readonly Turn[], index: number): ComparedModel {
  const pair = (value: (anatomy: Anatomy) => number): Pair => {
    const of = (side: keyof Turn) => median(turns.map((turn) => value(turn[side].anatomies[index]!)))
    return { before: of("before"), after: of("after") }
  }
  const { model, batch } = turns[0]!.after.anatomies[index]!
  const msOf = (parts: readonly Part[], kind: Kind) => parts.find((part) => part.kind === kind)?.ms ?? 0
  return {
    ...{ model, batch, step: pair(({ stepMs }) => stepMs), processor: pair(({ processorMs }) => processorMs) },
    pageFaults: pair(({ pageFaults }) => pageFaults),
    parts: (Object.keys(kinds) as Kind[]).map((kind) => ({ kind, ...pair(({ parts }) => msOf(parts, kind)) })),
  }
}

export function comparisonText({ before, after, models }: Comparison): string {
  const libraries = [...new Set([before.libtorch, after.libtorch])].join(" and ")
  return [`libtorch ${libraries}, ${after.device}, ${after.threads} threads`, ...models.map(modelText)].join("\n\n")
}

function modelText({ model, batch, step, processor, pageFaults, parts }: ComparedModel): string {
  const rows = [
    ["ms", "before", "after", "after / before"],
    ...parts.filter((part) => part.before + part.after > 0).map((part) => cellsOf(kinds[part.kind], part)),
    cellsOf("step", step),
    cellsOf("processor time", processor),
    cellsOf("page faults", pageFaults),
  ]
  const times = (step.before / step.after).toFixed(2)
  return [`${model}, batch ${batch}: ${times} times as many samples/s`, ...table(rows)].join("\n")
}

function cellsOf(name: string, { before, after }: Pair): string[] {
  return [name, before.toFixed(1), after.toFixed(1), before > 0 ? (after / before).toFixed(2) : ""]
}
