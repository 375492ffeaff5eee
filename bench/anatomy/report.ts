/** What an anatomy says, for people. */
import type { Anatomy, Loading, Part } from "./anatomy.ts"
import type { Bounds } from "./bounds.ts"
import { kinds } from "./operators.ts"

/** What one run writes as JSON. */
export interface Report {
  readonly libtorch: string
  readonly device: string
  readonly threads: number
  readonly precision: string
  readonly bounds: Bounds
  readonly anatomies: readonly Anatomy[]
}

export function reportText({ libtorch, device, threads, precision, bounds, anatomies }: Report, rows: boolean): string {
  const [operations, bytes] = [bounds.operations / 1e9, bounds.bytes / 1e9]
  const head = [
    `libtorch ${libtorch}, ${device}, ${threads} threads, ${precision}`,
    `bounds: ${operations.toFixed(0)} GFLOP/s (a large matrix product), ${bytes.toFixed(1)} GB/s (memory); what stays in a cache can be faster`,
    ...(device === "cpu" ? [] : ["each operator is waited for, so that gaps between launches count as its own"]),
  ]
  return [head.join("\n"), ...anatomies.map((anatomy) => anatomyText(anatomy, rows))].join("\n\n")
}

const columns = ["", "ms", "share", "GFLOP", "MB", "bound ms", "x bound", "calls"]

function anatomyText(anatomy: Anatomy, rows: boolean): string {
  const parts = anatomy.parts.filter(({ calls, ms }) => calls > 0 || ms > 0)
  const lines = table([columns, ...parts.map((part) => cellsOf(kinds[part.kind], part)), totalOf(anatomy)])
  return [titleOf(anatomy), ...lines, ...(rows ? rowsText(anatomy) : [])].join("\n")
}

function titleOf({ model, batch, reinforced, stepMs, tracedMs, loading, ...process }: Anatomy): string {
  const samples = Number(((1000 * batch) / stepMs).toPrecision(3))
  return [
    `${model}, batch ${batch}${reinforced ? ", reinforced" : ""}: ${stepMs.toFixed(1)} ms a step, ${samples} samples/s (${tracedMs.toFixed(1)} traced)`,
    `  processor time ${process.processorMs.toFixed(1)} ms, of which in the system ${process.systemMs.toFixed(1)}; ${process.pageFaults.toFixed(0)} page faults`,
    ...(loading ? [loadingText(loading)] : []),
  ].join("\n")
}

function loadingText({ waitMs, stepMs, stepWithoutLoaderMs, besideMs, aloneMs }: Loading): string {
  const steps = `${stepMs.toFixed(1)} ms with a loader, ${stepWithoutLoaderMs.toFixed(1)} without`
  const threads = `${besideMs.toFixed(1)} ms of processor time beside a step, ${aloneMs.toFixed(1)} alone`
  return `  data: ${steps}; ${waitMs.toFixed(1)} ms of waiting (${percent(waitMs / stepMs)}); the loader's threads take ${threads}`
}

function totalOf({ parts, stepMs }: Anatomy): string[] {
  const sum = (key: "gigaOperations" | "megabytes" | "boundMs" | "calls") =>
    parts.reduce((total, part) => total + part[key], 0)
  const [gigaOperations, megabytes, boundMs, calls] = [
    sum("gigaOperations"),
    sum("megabytes"),
    sum("boundMs"),
    sum("calls"),
  ]
  return cellsOf("total", { ms: stepMs, share: 1, gigaOperations, megabytes, boundMs, calls })
}

function cellsOf(name: string, part: Omit<Part, "kind">): string[] {
  const { ms, share, gigaOperations, megabytes, boundMs, calls } = part
  return [
    name,
    ms.toFixed(1),
    percent(share),
    gigaOperations > 0 ? gigaOperations.toFixed(2) : "",
    megabytes > 0 ? megabytes.toFixed(0) : "",
    boundMs > 0 ? boundMs.toFixed(1) : "",
    // Less than a twentieth of a millisecond says nothing.
    boundMs > 0.05 ? (ms / boundMs).toFixed(1) : "",
    calls.toFixed(0),
  ]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

/** Names at the left, figures at the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[i]!))).join("  "),
  )
}

const shown = 40

function rowsText({ rows, tracedMs }: Anatomy): string[] {
  const known = rows.slice(0, shown)
  const unknown = rows.slice(shown).filter(({ kind }) => kind === "other")
  return ["", ...[...known, ...unknown].map((row) => rowText(row, tracedMs))]
}

function rowText({ kind, path, arguments: args, calls, ms }: Anatomy["rows"][number], tracedMs: number): string {
  const figures = `${ms.toFixed(2).padStart(9)} ms ${percent(ms / tracedMs).padStart(7)} ${calls.toFixed(0).padStart(5)} x`
  return `${figures}  ${kind.padEnd(9)}  ${path} ${args}`
}
