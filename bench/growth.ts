/**
 * How time and memory grow with the work: each row at one, ten and a hundred times its size, with the exponent between
 * neighbouring sizes.
 *
 *     npm run build && node dist/bench/growth.js
 *     node dist/bench/growth.js --rows plan,order --json growth.json
 *     node dist/bench/growth.js --against ../before/dist          before and after, side by side
 *
 * Each size is measured by a process of its own (`node --expose-gc`) in the build that is named, so an older build needs
 * nothing of this. Before it counts, the process does the same with a small input: modules are loaded then, and their time
 * and memory are not the row's. Seconds are by the clock; exponents are of processor time, which other work on the machine
 * changes little. Less than 50 ms is taken as 50 ms, and the exponent shown as a lower bound. Quick sizes are medians of
 * three. Memory is the peak above what was resident before; memory a unit is the slope between the two largest sizes, so
 * fixed costs do not count, and 64 MiB of it are allowed to rubbish that was not collected yet: the verdict says so where a
 * slope is within its bound by them alone. Memory of the processes that a row starts does not count, except a command's own.
 * Inputs were just made, or are links of one file, so they are read from the system's memory, not from a disk.
 * Exit code 1 where an exponent exceeds 1.1 (short sizes: 1.5), memory a unit exceeds its bound, a size was not done, or the
 * build that is judged lacks what a row measures.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { messageOf, UserError } from "../src/core/errors.ts"
import { ownDist } from "./growth/compiled.ts"
import { measureGrowth, type Series } from "./growth/growth.ts"
import type { Form, Row } from "./growth/row.ts"
import { rows } from "./growth/rows.ts"
import { growthText } from "./growth/table.ts"
import { verdictOf } from "./growth/verdict.ts"

const help = `How time and memory grow with the work.

Usage: node dist/bench/growth.js [options]

  --rows NAME,...    of ${rows.map(({ name }) => name).join(", ")}
  --sizes FORM       full (default: minutes to an hour, and up to 10 GB of files) or short (a minute)
  --dist DIR         the build that is measured (default: this one)
  --against DIR      an older build, measured before it and shown beside it
  --limit SECONDS    after which a size is given up (default: 120)
  --folder DIR       where inputs are made, and found again by the next run (default: a temporary folder)
  --keep             leaves the inputs in --folder
  --json FILE        writes all figures, too
  --from FILE,...    measures nothing: the table of what --json wrote, files side by side in their order

Examples:
  node dist/bench/growth.js --sizes short
  node dist/bench/growth.js --rows csv,jsonl --folder /data/growth --keep
  node dist/bench/growth.js --against ../before/dist --json growth.json
`

interface Report {
  readonly form: Form
  readonly builds: readonly string[]
  readonly series: readonly Series[]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rows: { type: "string" },
      sizes: { type: "string", default: "full" },
      dist: { type: "string", default: ownDist },
      against: { type: "string" },
      limit: { type: "string", default: "120" },
      folder: { type: "string" },
      keep: { type: "boolean", default: false },
      json: { type: "string" },
      from: { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) return console.log(help)
  const report = values.from === undefined ? await measured(values) : await joined(values.from.split(","))
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
  const shown = rows.filter(({ name }) => report.series.some(({ row }) => row === name))
  console.log(growthText(shown, report.series, report.builds, report.form))
  // The older build is there to be compared with.
  const judged = report.series.filter(({ build }) => build === report.builds.at(-1))
  if (judged.some((series) => !isGood(series, report.form))) process.exitCode = 1
}

/** A row that the judged build lacks was not measured, so it is not known to be good. */
function isGood(series: Series, form: Form): boolean {
  const row = rows.find(({ name }) => name === series.row)!
  return verdictOf(row, series, form).problems.length === 0 && series.outcomes.every(({ kind }) => kind === "measured")
}

interface Options {
  readonly rows?: string | undefined
  readonly sizes: string
  readonly dist: string
  readonly against?: string | undefined
  readonly limit: string
  readonly folder?: string | undefined
  readonly keep: boolean
}

async function measured({ dist, against, folder: given, keep, ...options }: Options): Promise<Report> {
  const form = formOf(options.sizes)
  const builds = { ...(against !== undefined && { before: resolve(against) }), after: resolve(dist) }
  const limitSeconds = positive("--limit", options.limit)
  const wanted = rowsOf(options.rows)
  const around = given === undefined ? await mkdtemp(join(tmpdir(), "growth-")) : resolve(given)
  const folder = join(around, "growth-inputs")
  try {
    const say = (line: string) => console.error(line)
    const series = await measureGrowth(wanted, { form, builds, folder, limitSeconds, say })
    return { form, builds: Object.keys(builds), series }
  } finally {
    if (!keep) await rm(given === undefined ? around : folder, { recursive: true, force: true })
  }
}

/** Reports of one form: each file is a build, called before and after where there are two. */
async function joined(files: readonly string[]): Promise<Report> {
  const reports = await Promise.all(files.map(async (file) => JSON.parse(await readFile(file, "utf8")) as Report))
  const names = files.length > 2 ? files : ["before", "after"].slice(-files.length)
  const series = reports.flatMap((report, i) => report.series.map((each) => ({ ...each, build: names[i]! })))
  return { form: reports[0]!.form, builds: names, series }
}

function rowsOf(names: string | undefined): readonly Row[] {
  if (names === undefined) return rows
  return names.split(",").map((name) => {
    const row = rows.find((each) => each.name === name)
    if (row) return row
    throw new UserError(`there is no row ${name}`, `name some of ${rows.map((each) => each.name).join(", ")}`)
  })
}

function formOf(name: string): Form {
  if (name === "short" || name === "full") return name
  throw new UserError(`--sizes is ${name}`, "give short or full")
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (value > 0) return value
  throw new UserError(`${option} is ${text}`, "give a number above 0")
}

try {
  await main()
} catch (error) {
  const hint = error instanceof UserError && error.hint !== undefined ? `\n  ${error.hint}` : ""
  console.error(`growth: ${messageOf(error)}${hint}`)
  process.exitCode = 1
}
