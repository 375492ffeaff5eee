/** The report of a verification, for people. */
import type { AgainstReport } from "../../../reinforce/tools/verify/against.ts"
import type { VerifyReport } from "../../../reinforce/tools/verify/verify.ts"
import { textTable } from "../../table.ts"

/** Problems that are printed; `--json` has all. */
const mostShown = 20

/** @param wanted how many samples were to be made again */
export function verifyText(report: VerifyReport, wanted: number): string {
  const { shards, samples, recorded, teacherWidths, recomputed, problems } = report
  const records = recorded === null ? "no records to compare with" : `${recorded} as they were recorded`
  return [
    `${counted(shards, "shard")} (${records}), ${counted(samples, "sample")}`,
    ...(teacherWidths ? [`teachers: ${teacherWidths.join(" + ")} values, of unit length`] : []),
    ...(recomputed
      ? recomputedLines(recomputed)
      : [`nothing was made again: ${wanted === 0 ? "--samples is 0" : "no models"}`]),
    ...problemLines(problems),
    problems.length === 0 ? "all is well" : counted(problems.length, "problem"),
  ].join("\n")
}

export function againstText({ identical, differences }: AgainstReport): string {
  return [
    `${counted(identical, "shard")} ${identical === 1 ? "is" : "are"} identical`,
    ...problemLines(differences),
  ].join("\n")
}

function recomputedLines({ samples, cosines, captions }: NonNullable<VerifyReport["recomputed"]>): string[] {
  const rows = Object.entries(cosines).map(([key, { rows, min, mean }]) => [key, `${rows}`, digits(min), digits(mean)])
  const columns = ["made again", "rows", "least cosine", "mean"].map((title, i) => ({
    title,
    align: i > 0 ? ("right" as const) : ("left" as const),
  }))
  const compared = captions.equal + captions.different
  return [
    `${counted(samples, "sample")} made again${compared > 0 ? `: ${captions.equal} of ${compared} lists of captions are equal` : ""}`,
    ...(rows.length > 0 ? [textTable(columns, rows)] : []),
  ]
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`
}

function digits(cosine: number): string {
  return cosine.toFixed(6)
}

function problemLines(problems: readonly { shard: string; key: string | null; reason: string }[]): string[] {
  const shown = problems.slice(0, mostShown).map(({ shard, key, reason }) => {
    return `  ${shard}${key === null ? "" : `, ${key}`}: ${reason}`
  })
  return problems.length > mostShown ? [...shown, `  ... and ${problems.length - mostShown} more (--json)`] : shown
}
