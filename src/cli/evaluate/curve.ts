/** mobileclip evaluate curve */
import { dirname } from "node:path"
import type { Command } from "commander"
import {
  type CurveOptions,
  type CurveReport,
  caveatText,
  compareCurves,
  levelRows,
  plateauText,
  sideRows,
  uniqueTitle,
  verdictText,
  writeCurvePage,
} from "../../benchmark/curve/index.ts"
import { UserError } from "../../core/errors.ts"
import { makeDirectory, prepareFile } from "../../host/files/files.ts"
import { percent } from "../../report/numbers.ts"
import type { CommandContext } from "../context.ts"
import { number } from "../options.ts"
import { textTable } from "../table.ts"

interface Options extends Omit<CurveOptions, "runs"> {
  readonly html?: string
  readonly json?: true
}

const more = `
RUN is the folder of a training run that was evaluated along the way (\`train --evaluate\`), or a folder with such runs below
it: that of the quickstart and of CIFAR-10 gives their students.

Runs are put together by the names of their folders: mine-0, mine-1 and mine-2 are three seeds of "mine";
mine-0-of-156-steps has a shorter schedule; runs below of-625-pictures/, or called mine-0-of-625-pictures, learned from
so many different pictures. What the others are compared with is given by --baseline, else it is the side called "plain",
else the first one. The same seeds of both sides are compared; where seeds differ, each run with each.

Examples:
  mobileclip evaluate curve runs/quickstart
  mobileclip evaluate curve runs/reinforced-* --baseline runs/plain-* --html curve.html
  mobileclip evaluate curve runs/a runs/b --guessing 0.1 --json

Ratios say how many times as much the weaker side takes to be as good: at 80, 90, 95 and 100 % of its gain over guessing, in
samples, seconds of training, and different pictures where there are runs on subsets.
`

export function register(evaluate: Command, _context: CommandContext): void {
  evaluate
    .command("curve")
    .description("say how much sooner one way of training learns than another")
    .argument("[runs...]", "folders of training runs")
    .option("--baseline <runs...>", "runs that the others are compared with")
    .option("--guessing <share>", "accuracy of guessing, 0 to 1, where the runs do not say it", number(0, 1))
    .option("--html <file>", "write a page with the curves")
    .option("--json", "print everything as JSON")
    .addHelpText("after", more)
    .action(curve)
}

async function curve(runs: readonly string[], options: Options, command: Command): Promise<void> {
  if (runs.length === 0)
    throw new UserError(
      "no runs to compare",
      "name folders of training runs: mobileclip evaluate curve runs/quickstart",
    )
  if (options.html !== undefined) {
    await makeDirectory(dirname(options.html))
    await prepareFile(options.html)
  }
  const report = await compareCurves({ ...options, runs })
  if (options.html !== undefined) await writeCurvePage(options.html, report)
  const page = options.html === undefined ? "" : `\npage: ${options.html}\n`
  command
    .configureOutput()
    .writeOut?.(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${curveText(report)}${page}`)
}

/** What is printed: sides, then each comparison with its ratios. */
function curveText(report: CurveReport): string {
  const { comparisons, sides, guessing, tasks, notes } = report
  const parts = [
    sidesTable(report),
    `guessing gives ${percent(guessing)}${tasks.length > 1 ? ` on average over ${tasks.join(", ")}` : ` in ${tasks[0]}`}`,
    ...comparisons.map((comparison) => {
      const [weaker, stronger] = [comparison.weaker, comparison.stronger].map(
        (name) => sides.find((side) => side.name === name)!,
      )
      const caveat = caveatText(comparison)
      return [
        `${verdictText(comparison)}.${caveat ? ` ${caveat}` : ""}`,
        plateauText(weaker!, { isWeaker: true, noGain: comparison.efficiency.noGain }),
        plateauText(stronger!, { isWeaker: false }),
        ...ratiosTable(comparison),
      ].join("\n")
    }),
    notes.map((note) => `note: ${note}`).join("\n"),
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

const right = { align: "right" } as const

function sidesTable(report: CurveReport): string {
  const titles = ["runs", "samples", "different", "seconds", "at the end", "best", "plateau from"]
  return textTable(
    [{ title: "side" }, ...titles.map((title) => ({ title, ...right }))],
    sideRows(report).map(({ name, runs, samples, unique, seconds, end, best, plateau }) => [
      ...[name, String(runs), samples, unique, seconds, end, best, plateau],
    ]),
  )
}

function ratiosTable(comparison: CurveReport["comparisons"][number]): string[] {
  const rows = levelRows(comparison)
  if (rows.length === 0) return []
  const unique = comparison.unique ? [{ title: uniqueTitle(comparison), ...right }] : []
  return [
    "",
    textTable(
      [
        { title: `to be as good as ${comparison.weaker} at` },
        { title: "samples", ...right },
        { title: "seconds", ...right },
        ...unique,
      ],
      rows.map((row) => [row.against, row.samples, row.seconds, ...(comparison.unique ? [row.unique] : [])]),
    ),
  ]
}
