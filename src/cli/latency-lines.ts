/** Rows of `bench`, printed one by one as they come: columns of fixed width. */
import type { LatencyRow } from "../benchmark/latency/index.ts"
import { milliseconds, signed } from "../benchmark/latency/index.ts"
import { integer } from "../report/numbers.ts"
import { spacedPercent } from "./table.ts"

interface Column {
  readonly title: string
  /** Negative: to the left. */
  readonly width: number
  readonly value: (row: LatencyRow) => string
}

const columns: readonly Column[] = [
  { title: "tower", width: -18, value: ({ architecture, model }) => architecture ?? model },
  { title: "of", width: -5, value: ({ tower }) => tower },
  { title: "on", width: -9, value: ({ device, dtype }) => `${device} ${dtype}` },
  { title: "batch", width: 5, value: ({ batch }) => String(batch) },
  { title: "median", width: 7, value: ({ medianMs }) => milliseconds(medianMs) },
  { title: "p95", width: 7, value: ({ p95Ms }) => milliseconds(p95Ms) },
  { title: "/s", width: 7, value: ({ perSecond }) => (perSecond < 100 ? perSecond.toFixed(1) : integer(perSecond)) },
  { title: "peak", width: 5, value: ({ shareOfPeak }) => (shareOfPeak === null ? "-" : spacedPercent(shareOfPeak, 0)) },
  { title: "drift", width: 6, value: ({ driftPercent }) => signed(driftPercent) },
  { title: "MB", width: 6, value: ({ peakMemoryMb }) => (peakMemoryMb === null ? "-" : integer(peakMemoryMb)) },
  { title: "start", width: 6, value: ({ coldStartMs }) => (coldStartMs === null ? "-" : integer(coldStartMs)) },
]

export const latencyTitles = `${columns.map(({ title, width }) => pad(title, width)).join("  ")}  models`

/** @param rows of one measurement: one for each model that has the tower */
export function latencyLine(rows: readonly LatencyRow[]): string {
  const [row] = rows
  const cells = columns.map(({ width, value }) => pad(value(row!), width))
  return [...cells, rows.map(({ model }) => model).join(", ")].join("  ")
}

function pad(text: string, width: number): string {
  return width < 0 ? text.padEnd(-width) : text.padStart(width)
}
