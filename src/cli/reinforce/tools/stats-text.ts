/** The statistics of shards, for people. */
import type { TeacherAgreement } from "../../../reinforce/tools/stats/agreement.ts"
import type { Spread } from "../../../reinforce/tools/stats/spread.ts"
import type { StatsReport } from "../../../reinforce/tools/stats/stats.ts"
import { spacedPercent, textTable } from "../../table.ts"

export function statsText(report: StatsReport): string {
  const { shards, samples, bytes, views, teacherWidths } = report
  const perSample = samples > 0 ? `, ${kilobytes(bytes / samples)} a sample` : ""
  const sections = [
    `${shards} ${shards === 1 ? "shard" : "shards"}, ${samples} samples, ${(bytes / 1e6).toFixed(1)} MB${perSample}`,
    membersTable(report),
    views ? `views: ${spreadText(views)} a sample` : "",
    captionsTable(report),
    histograms(report),
    picturesText(report),
    embeddingsTable(report),
    teacherWidths ? `teachers: ${teacherWidths.join(" + ")} values` : "",
    report.agreement ? agreementText(report.agreement) : "",
    failuresTable(report),
  ]
  return sections.filter(Boolean).join("\n\n")
}

function membersTable({ members, samples }: StatsReport): string {
  const rows = Object.entries(members).map(([extension, { files, bytes }]) => {
    const each = samples > 0 ? kilobytes(bytes / samples) : "-"
    return [extension, String(files), `${(bytes / 1e6).toFixed(2)} MB`, each]
  })
  return table(["member", "files", "bytes", "a sample"], rows)
}

function captionsTable({ captions }: StatsReport): string {
  const rows = Object.entries(captions).map(([kind, { samples, perSample, tokens, cut, empty }]) => {
    const spread = tokens ? [tokens.mean.toFixed(1), tokens.median, tokens.p95, tokens.max] : ["-", "-", "-", "-"]
    return [kind, samples, perSample.mean.toFixed(2), ...spread, cut, empty].map(String)
  })
  return table(["captions", "samples", "each", "tokens", "median", "95 %", "most", "cut", "empty"], rows)
}

const barWidth = 40

/** How many tokens captions have: a line for each bin, up to the last one in use. */
function histograms({ captions }: StatsReport): string {
  return Object.entries(captions)
    .filter(([, { tokens }]) => tokens !== null)
    .map(([kind, { histogram }]) => {
      const most = Math.max(...histogram.map(({ count }) => count))
      const lines = histogram.map(({ from, to, count }) => {
        const bar = "█".repeat(Math.round((count / most) * barWidth))
        return `  ${`${from}-${to}`.padStart(9)} ${bar} ${count}`
      })
      return [`tokens of ${kind}`, ...lines].join("\n")
    })
    .join("\n\n")
}

function picturesText({ pictures }: StatsReport): string {
  const { formats, width, height } = pictures
  if (!width || !height) return "no pictures"
  const kinds = Object.entries(formats).map(([extension, count]) => `${count} ${extension}`)
  return `pictures: ${kinds.join(", ")}; width ${spreadText(width)}, height ${spreadText(height)}`
}

function embeddingsTable({ embeddings }: StatsReport): string {
  const rows = Object.entries(embeddings).map(([key, { samples, rows, width, dtypes }]) => {
    const wide = width.min === width.max ? `${width.min}` : `${width.min} to ${width.max}`
    return [key, `${samples}`, spreadText(rows), wide, Object.keys(dtypes).join(", ")]
  })
  return table(["embedding", "samples", "rows", "width", "stored as"], rows)
}

function agreementText({ samples, chosen, teachers, pairs }: TeacherAgreement): string {
  const kinds = Object.keys(teachers[0]!.captions)
  const rows = teachers.map(({ width, ownCaption, views, captions }, i) => {
    const cosines = kinds.map((kind) => captions[kind]!.toFixed(3))
    return [`${i} (${width})`, spacedPercent(ownCaption), views === null ? "-" : views.toFixed(3), ...cosines]
  })
  const titles = [
    "teacher",
    chosen === "text" ? "own caption first" : `own ${chosen} first`,
    "view-view",
    ...kinds.map((kind) => `view-${kind}`),
  ]
  const agreed = pairs.map(
    ({ teachers: [a, b], top1 }) => `${a} and ${b} choose the same caption: ${spacedPercent(top1)}`,
  )
  return [`over ${samples} samples`, table(titles, rows), ...agreed].join("\n")
}

function failuresTable({ failures }: StatsReport): string {
  const rows = Object.entries(failures)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => [reason, `${count}`])
  return rows.length === 0 ? "" : table(["left out or noted, such as", "times"], rows)
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ""
  const columns = titles.map((title, i) => ({ title, align: i > 0 ? ("right" as const) : ("left" as const) }))
  return textTable(columns, rows)
}

function spreadText({ min, mean, max }: Spread): string {
  return min === max ? `${min}` : `${min} to ${max} (mean ${mean.toFixed(1)})`
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(2)} kB`
}
