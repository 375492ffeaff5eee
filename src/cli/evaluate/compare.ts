/** mobileclip evaluate compare */
import { dirname } from "node:path"
import { type Command, Option } from "commander"
import {
  bootstrapDefaults,
  type CompareOptions,
  type Comparison,
  compareModels,
  comparisonJson,
  differenceCell,
  methodTexts,
  points,
  readLatencyReport,
  scoreText,
  taskOrders,
  verdictText,
  worthRange,
  worthText,
  writeComparisonPage,
} from "../../benchmark/compare/index.ts"
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
  const { html, latency: file, json } = options
  if (file !== undefined && html === undefined)
    throw new UserError("--latency is for the plots of the page", "add --html compare.html")
  if (html !== undefined) {
    await makeDirectory(dirname(html))
    await prepareFile(html)
  }
  const latency = file === undefined ? null : await readLatencyReport(file)
  const comparison = await compareModels({ ...options, runs })
  if (html !== undefined) await writeComparisonPage(html, comparison, latency)
  const { writeOut } = command.configureOutput()
  const page = html === undefined ? "" : `\npage: ${html}\n`
  writeOut?.(json ? `${JSON.stringify(comparisonJson(comparison), null, 2)}\n` : `${comparisonText(comparison)}${page}`)
}

/** Beyond so many models tables have a row for each model, and tasks only the ends. */
const mostBeside = 3

/** What is printed: the verdict, averages, tasks, and what the figures rest on. */
function comparisonText(comparison: Comparison): string {
  const isBeside = comparison.models.length <= mostBeside
  const parts = [
    `${verdictText(comparison)}.`,
    isBeside ? averagesBeside(comparison) : averagesBelow(comparison),
    isBeside ? tasksBeside(comparison) : tasksOfMany(comparison),
    [...comparison.notes.map((note) => `note: ${note}`), ...methodTexts(comparison)].join("\n"),
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

const right = { align: "right" } as const

function averagesBeside({ models, averages }: Comparison): string {
  const rows = averages.map((row) => ({ ...row, worth: row.worth ? worthText(row.worth.most) : "-" }))
  return rows.length > 0 ? tableBeside("average", models, rows) : ""
}

function tasksBeside({ models, tasks }: Comparison): string {
  const rows = tasks.map((row) => ({ ...row, worth: worthRange(row.worth) }))
  return tableBeside("task", models, rows)
}

interface Row extends Pick<Comparison["tasks"][number], "name" | "cells" | "differences"> {
  readonly worth: string
}

/** A column for each model, and for each but the first its difference. */
function tableBeside(title: string, models: Comparison["models"], rows: readonly Row[]): string {
  const columns = models.flatMap(({ name }, i) => [
    { title: name, ...right },
    ...(i > 0 ? [{ title: "difference" }] : []),
  ])
  return textTable(
    [{ title }, ...columns, { title: "1 answer", ...right }],
    rows.map(({ name, cells, differences, worth }) => [
      name,
      ...cells.flatMap((cell, i) => [scoreText(cell), ...(i > 0 ? [differenceCell(differences[i])] : [])]),
      worth,
    ]),
  )
}

function averagesBelow({ models, averages, headline }: Comparison): string {
  if (!headline) return ""
  const rows = models.map(({ name }, i) => [
    name,
    ...averages.map(({ cells }) => scoreText(cells[i])),
    differenceCell(headline.differences[i]),
  ])
  const titles = averages.map(({ name }) => ({
    title: name.replace(", FMoW without its region of four", " *"),
    ...right,
  }))
  const star = averages.some(({ name }) => name.includes(", FMoW"))
    ? "\n* FMoW without its region of four pictures"
    : ""
  return `${textTable([{ title: "model" }, ...titles, { title: `difference in ${headline.name}` }], rows)}${star}`
}

/** The first model among all. */
function tasksOfMany({ models, tasks }: Comparison): string {
  const columns = [
    { title: models[0]!.name, ...right },
    { title: "rank", ...right },
    { title: "lowest", ...right },
  ]
  return textTable(
    [{ title: "task" }, ...columns, { title: "highest", ...right }, { title: "of" }, { title: "1 answer", ...right }],
    tasks.map(({ name, cells, worth }) => {
      const scores = cells.flatMap((cell, i) => (cell ? [{ score: cell.value, model: models[i]!.name }] : []))
      const sorted = scores.toSorted((a, b) => b.score - a.score)
      const [best, worst] = [sorted[0]!, sorted.at(-1)!]
      const rank = cells[0]
        ? `${1 + scores.filter(({ score }) => score > cells[0]!.value).length}/${scores.length}`
        : "-"
      return [name, scoreText(cells[0]), rank, points(worst.score), points(best.score), best.model, worthRange(worth)]
    }),
  )
}
