/** The report of a join, as a table. */
import type { JoinReport } from "../../../reinforce/tools/join/join.ts"
import { textTable } from "../../table.ts"

export function joinText(report: JoinReport): string {
  const { images, reinforcements, matched } = report
  const rows: [string, number][] = [
    ["image shards", images.shards],
    ["images", images.samples],
    ["reinforcement shards", reinforcements.shards],
    ["reinforcements", reinforcements.keys],
    ["matched", matched],
    ["images without reinforcement", report.withoutReinforcement],
    ["reinforcements without image", report.withoutImage],
    ["images whose key came before", images.duplicates],
    ["reinforcements whose key came before", reinforcements.duplicates],
    ["pictures that have changed", report.changed],
    ["samples that failed", report.failures],
    ["shards that failed", report.failedShards.length],
  ]
  const table = textTable(
    [{ title: "join" }, { title: "count", align: "right" }],
    rows.map(([name, count]) => [name, String(count)]),
  )
  const size = matched > 0 ? `, ${(report.bytes / matched / 1000).toFixed(1)} kB a sample` : ""
  const failed = report.failedShards.map(({ shard, reason }) => `${shard}: ${reason}`)
  return [table, `${(report.bytes / 1e6).toFixed(1)} MB${size}`, ...failed].join("\n")
}
