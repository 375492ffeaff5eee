/** The figures as tables: each size with its builds side by side, then each row's bounds. */
import { type Column, textTable } from "../../src/cli/table.ts"
import type { Series } from "./growth.ts"
import { sizeText } from "./input-folder.ts"
import type { Form, Outcome, Row } from "./row.ts"
import { allowanceBytes, type Exponent, type Verdict, verdictOf } from "./verdict.ts"

/** @param builds names of the columns */
export function growthText(
  rows: readonly Row[],
  series: readonly Series[],
  builds: readonly string[],
  form: Form,
): string {
  return `${sizesTable(rows, series, builds, form)}\n\n${boundsTable(rows, series, form)}`
}

const figures = ["s", "cpu s", "MB", "stall s", "exp"] as const

function sizesTable(rows: readonly Row[], series: readonly Series[], builds: readonly string[], form: Form): string {
  const columns: Column[] = [
    ...["row", "size"].map((title) => ({ title })),
    ...builds.flatMap((build) => figures.map((title, i) => ({ title: i ? title : `${build}: ${title}`, align }))),
  ]
  const lines = rows.flatMap((row) =>
    row.phases.flatMap((phase) =>
      row.sizes[form].map((size, i) => {
        const own = builds.map((build) =>
          series.find((s) => s.row === row.name && s.phase === phase && s.build === build),
        )
        return [i ? "" : nameOf(row, phase), sizeText(size), ...own.flatMap((each) => cellsOf(row, each, i, form))]
      }),
    ),
  )
  return textTable(columns, lines)
}

const align = "right" as const

function nameOf({ name, phases }: Row, phase: string): string {
  return phases.length > 1 ? `${name}, ${phase}` : name
}

/** @param series undefined where a report that was saved has no such row */
function cellsOf(row: Row, series: Series | undefined, index: number, form: Form): string[] {
  const outcome = series?.outcomes[index]
  if (!series || !outcome) return ["", "", "", "", ""]
  const exponent = index === 0 ? null : verdictOf(row, series, form).exponents[index - 1]!
  return [...outcomeCells(outcome), exponentText(exponent)]
}

function outcomeCells(outcome: Outcome): string[] {
  switch (outcome.kind) {
    case "measured":
      return [
        outcome.seconds.toFixed(2),
        outcome.processorSeconds.toFixed(2),
        (outcome.bytes / 1e6).toFixed(0),
        outcome.stallSeconds.toFixed(2),
      ]
    case "over":
      return [`> ${outcome.seconds}`, "", "", ""]
    default:
      return [outcome.kind, "", "", ""]
  }
}

export function exponentText(exponent: Exponent | null): string {
  return exponent === null ? "" : `${exponent.atLeast ? ">= " : ""}${exponent.value.toFixed(2)}`
}

function boundsTable(rows: readonly Row[], series: readonly Series[], form: Form): string {
  const columns: Column[] = [
    ...["row", "build"].map((title) => ({ title })),
    ...["bytes a unit", "bound"].map((title) => ({ title, align })),
    { title: "of" },
    { title: "verdict" },
  ]
  const lines = rows.flatMap((row) =>
    series
      .filter(({ row: name }) => name === row.name)
      .map((each) => {
        const verdict = verdictOf(row, each, form)
        const { bytesAUnit } = verdict
        return [
          nameOf(row, each.phase),
          each.build,
          bytesAUnit === null ? "" : bytesText(bytesAUnit),
          bytesText(row.bound.bytes),
          row.unit,
          verdictText(row, each, verdict),
        ]
      }),
  )
  return textTable(columns, lines)
}

function verdictText(row: Row, { outcomes }: Series, { bytesAUnit, problems }: Verdict): string {
  if (outcomes.every(({ kind }) => kind === "not there")) return "not there"
  if (problems.length > 0) return problems.join("; ")
  return (bytesAUnit ?? 0) > row.bound.bytes ? `within ${allowanceBytes / 2 ** 20} MiB` : "good"
}

function bytesText(bytes: number): string {
  return bytes < 10 ? bytes.toFixed(1) : Math.round(bytes).toLocaleString("en")
}
