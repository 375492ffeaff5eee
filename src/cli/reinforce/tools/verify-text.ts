/** The report of a verification, for people. */
import type { AgainstReport } from "../../../reinforce/tools/verify/against.ts"
import type { VerifyReport } from "../../../reinforce/tools/verify/verify.ts"
import { textTable } from "../../table.ts"

/** Problems that are printed; `--json` has all. */
const mostShown = 20

export function verifyText(report: VerifyReport): string {
  const { shards, samples, recorded, teacherWidths, recomputed, problems } = report
  const records = recorded === null ? "no records to compare with" : `${recorded} as they were recorded`
  return [
    `${shards} shards (${records}), ${samples} samples`,
    ...(teacherWidths ? [`teachers: ${teacherWidths.join(" + ")} values, of unit length`] : []),
    ...(recomputed ? recomputedLines(recomputed) : ["nothing was made again: no models"]),
    ...problemLines(problems),
    problems.length === 0 ? "all is well" : `${problems.length} problems`,
  ].join("\n")
}

export function againstText({ identical, differences }: AgainstReport): string {
  return [`${identical} shards are identical`, ...problemLines(differences)].join("\n")
}

function recomputedLines({ samples, cosines, captions }: NonNullable<VerifyReport["recomputed"]>): string[] {
  const rows = Object.entries(cosines).map(([key, { rows, min, mean }]) => [key, `${rows}`, digits(min), digits(mean)])
  const columns = ["made again", "rows", "least cosine", "mean"].map((title, i) => ({
    title,
    align: i > 0 ? ("right" as const) : ("left" as const),
  }))
  const compared = captions.equal + captions.different
  return [
    `${samples} samples made again${compared > 0 ? `: ${captions.equal} of ${compared} lists of captions are equal` : ""}`,
    ...(rows.length > 0 ? [textTable(columns, rows)] : []),
  ]
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
