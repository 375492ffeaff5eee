/** mobileclip evaluate compare */
import { dirname } from "node:path"
import { type Command, Option } from "commander"
import { bootstrapDefaults } from "../../benchmark/compare/bootstrap.ts"
import { type CompareOptions, type Comparison, compareModels, taskOrders } from "../../benchmark/compare/compare.ts"
import { comparisonJson } from "../../benchmark/compare/comparison-json.ts"
import {
  differenceCell,
  methodTexts,
  scoreText,
  verdictText,
  worthRange,
  worthText,
} from "../../benchmark/compare/words.ts"
import { UserError } from "../../core/errors.ts"
import { makeDirectory, prepareFile } from "../../host/files/files.ts"
import type { CommandContext } from "../context.ts"
import { repeated, wholeNumber } from "../options.ts"
import { textTable } from "../table.ts"

interface Options extends Omit<CompareOptions, "runs"> {
  readonly latency?: string
  readonly html?: string
  readonly json?: true
}

const more = `
RUN is what \`mobileclip evaluate --out\` wrote, a folder of several such, a JSONL file in the shape of the published results
({"key", "dataset", "metrics"}), or the name of a published model. The first one is what the others are compared with.

Examples:
  mobileclip evaluate compare runs/eval/mine --published MobileCLIP2-S0
  mobileclip evaluate compare runs/eval --html compare.html --latency latency.json
  mobileclip evaluate compare MobileCLIP-S1 --published all --sort worth

A difference in points (hundredths of the metric) is followed by its 95 % interval; ~ says that the interval covers 0, so
that it may be chance. "1 answer" is what one answer can move a score by: where groups have different numbers of pictures,
from that in the worst group to that in the smallest one. The average over the 38 is there twice: as published, and
without FMoW's region of four pictures, where one answer is worth 0.66 points of it.
`

export function register(evaluate: Command, _context: CommandContext): void {
  evaluate
    .command("compare")
    .description("compare models by task and in averages, with what could be chance")
    .argument("[runs...]", "results, or names of published models")
    .option("--published <name>", "a published model, or all; may be given again", repeated)
    .addOption(new Option("--sort <order>", "order of the tasks").choices(taskOrders).default("suite"))
    .option("--resamples <n>", "draws of the bootstrap", wholeNumber(100, 100_000), bootstrapDefaults.resamples)
    .option("--seed <n>", "seed of the bootstrap", wholeNumber(0, 2 ** 32 - 1), bootstrapDefaults.seed)
    .option("--latency <file>", "what `mobileclip bench --json` printed: latency and parameters for the plots")
    .option("--html <file>", "write a page: bars, plots, faces")
    .option("--json", "print everything as JSON")
    .addHelpText("after", more)
    .action(compare)
}

async function compare(runs: readonly string[], options: Options, command: Command): Promise<void> {
  if (runs.length === 0 && !options.published)
    throw new UserError("nothing to compare", "name RUN folders, or --published all")
  if (options.html !== undefined) {
    await makeDirectory(dirname(options.html))
    await prepareFile(options.html)
  }
  const comparison = await compareModels({ ...options, runs })
  if (options.html !== undefined) {
    // Drawing takes 800 modules.
    const { writeComparisonPage } = await import("../../benchmark/compare/page.ts")
    await writeComparisonPage(options.html, comparison, { latency: options.latency })
  }
  const { writeOut } = command.configureOutput()
  writeOut?.(options.json ? `${JSON.stringify(comparisonJson(comparison), null, 2)}\n` : comparisonText(comparison))
}

/** Beyond so many models the differences do not fit beside the scores. */
const mostBeside = 3

/** What is printed: the verdict, averages, tasks, and what the figures rest on. */
export function comparisonText(comparison: Comparison): string {
  const parts = [
    `${verdictText(comparison)}.`,
    averagesTable(comparison),
    tasksTable(comparison),
    [...comparison.notes.map((note) => `note: ${note}`), ...methodTexts(comparison)].join("\n"),
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

const right = { align: "right" } as const

function averagesTable({ models, averages }: Comparison): string {
  if (averages.length === 0) return ""
  return rowsTable(
    "average",
    models,
    averages.map((row) => ({ ...row, worth: row.worth && worthText(row.worth.most) })),
  )
}

function tasksTable({ models, tasks }: Comparison): string {
  return rowsTable(
    "task",
    models,
    tasks.map((row) => ({ ...row, worth: worthRange(row.worth) })),
  )
}

interface Row extends Pick<Comparison["tasks"][number], "name" | "cells" | "differences"> {
  readonly worth: string | null
}

function rowsTable(title: string, models: Comparison["models"], rows: readonly Row[]): string {
  const isBeside = models.length <= mostBeside
  const columns = models.flatMap(({ name }, i) =>
    isBeside && i > 0 ? [{ title: name, ...right }, { title: "difference" }] : [{ title: name, ...right }],
  )
  return textTable(
    [{ title }, ...columns, { title: "1 answer", ...right }],
    rows.map(({ name, cells, differences, worth }) => [
      name,
      ...cells.flatMap((cell, i) =>
        isBeside && i > 0 ? [scoreText(cell), differenceCell(differences[i])] : [scoreText(cell)],
      ),
      worth ?? "-",
    ]),
  )
}
