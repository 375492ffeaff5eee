/**
 * Plain and reinforced training compared on CIFAR-10, given as class folders:
 *
 *     node dist/recipes/cifar10.js DIR [--out runs/cifar10] [--preset standard|small] [--seeds N] [--subsets]
 *
 * A program, as `bin/mobileclip.js` is one; what it does is in `src/experiments/cifar10/`.
 */
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { type Command, Option } from "commander"
import type { CommandContext } from "../src/cli/context.ts"
import { main } from "../src/cli/main.ts"
import { progressOption, wholeNumber } from "../src/cli/options.ts"
import { type ProgressMode, progressReporter } from "../src/cli/progress.ts"
import { efficiencyLines } from "../src/cli/quickstart/efficiency-lines.ts"
import { spacedPercent, textTable } from "../src/cli/table.ts"
import type { LearningCurve } from "../src/evaluate/efficiency.ts"
import { compareOnCifar10 } from "../src/experiments/cifar10/pipeline.ts"
import { type PresetName, presets } from "../src/experiments/cifar10/recipe.ts"
import type { Cifar10Report } from "../src/experiments/cifar10/report-data.ts"
import { cifar10Origin } from "../src/experiments/cifar10/report-page.ts"
import { endOf, meanAt, teachersText } from "../src/experiments/comparison/learning-efficiency.ts"

interface Options {
  readonly out: string
  readonly preset: PresetName
  readonly seed: number
  readonly seeds: number
  readonly subsets: boolean
  readonly threads: number
  readonly progress: ProgressMode
}

function register(program: Command, context: CommandContext): void {
  program
    .command("cifar10")
    .argument("<dir>", "train/ and test/ with a folder for each class")
    .option("--out <dir>", "where everything is written", "runs/cifar10")
    .addOption(
      new Option("--preset <name>", "how much of everything").choices(Object.keys(presets)).default("standard"),
    )
    .option("--seed <n>", "seed of the captions and of the first student", wholeNumber(0, 2 ** 31), 0)
    .option(
      "--seeds <n>",
      "students of each kind; from 3 on, plain ones also of 1/4 and 1/2 of the samples",
      wholeNumber(1, 100),
      1,
    )
    .option("--subsets", "also train students of 1/16 and 1/4 of the pictures, at equal samples", false)
    .option("--threads <n>", "processor threads", wholeNumber(1), availableParallelism())
    .addOption(progressOption())
    .action(async (data: string, { preset, ...options }: Options, command: Command) => {
      const { writeOut, writeErr } = command.configureOutput()
      const report = await compareOnCifar10({
        ...options,
        data,
        recipe: presets[preset],
        startProgress: progressReporter(options.progress),
        say: (line) => writeErr?.(`${line}\n`),
        signal: context.abortOnInterrupt(),
      })
      writeOut?.(`${summary(report, join(options.out, "report.html"))}\n`)
    })
}

/** What the comparison prints at its end. */
function summary(report: Cifar10Report, page: string): string {
  const { seconds, plain, reinforced, teachers, captioner, pictures } = report
  return [
    `${(seconds / 60).toFixed(1)} minutes; ${spacedPercent(endOf(reinforced))} reinforced, ${spacedPercent(endOf(plain))} plain (guessing ${spacedPercent(report.guessing)})`,
    teachersText(pictures.precise, cifar10Origin),
    [
      ...teachers.map(({ name, average }) => `teacher ${name} ${spacedPercent(average)}`),
      `captions ${spacedPercent(captioner.trueCaptions)} true`,
    ].join(", "),
    "",
    curveTable(plain, reinforced),
    `on ${pictures.test.toLocaleString("en")} test pictures`,
    "",
    efficiencyLines(report.efficiency),
    "",
    ...subsetLines(report),
    `report: ${page}`,
  ].join("\n")
}

function curveTable(plain: readonly LearningCurve[], reinforced: readonly LearningCurve[]): string {
  const rows = plain[0]!.map(({ samplesSeen }, i) => [
    samplesSeen.toLocaleString("en"),
    ...[plain, reinforced].map((curves) => spacedPercent(meanAt(curves, i))),
  ])
  const titles = ["samples seen", "plain", "reinforced"]
  return textTable(
    titles.map((title) => ({ title, align: "right" })),
    rows,
  )
}

function subsetLines({ subsets, samplesSeen }: Cifar10Report): string[] {
  if (subsets.length === 0) return []
  const rows = subsets.map(({ unique, plain, reinforced }) => [
    unique.toLocaleString("en"),
    Math.round(samplesSeen / unique).toLocaleString("en"),
    ...[plain, reinforced].map((curves) => spacedPercent(endOf(curves))),
  ])
  const titles = ["different pictures", "times seen", "plain", "reinforced"]
  return [
    textTable(
      titles.map((title) => ({ title, align: "right" })),
      rows,
    ),
    "",
  ]
}

const table = { cifar10: { summary: "plain and reinforced training on CIFAR-10", load: async () => ({ register }) } }
process.exitCode = await main(["cifar10", ...process.argv.slice(2)], table)
