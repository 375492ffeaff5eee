/** What a benchmark will take, before it begins: time, and room on the disk. */
import { statfs } from "node:fs/promises"
import { EnvironmentError } from "../../core/errors.ts"
import { type TowerCost, towerBytes } from "./generated.ts"
import type { MeasureSettings } from "./measure.ts"

export interface BenchPlan {
  /** Rows that are measured; several models may share one. */
  readonly rows: number
  /** About how long it takes: within a factor of two. */
  readonly seconds: number
  /** Bytes of generated towers in the temporary folder. */
  readonly diskBytes: number
}

/** Share of the matrix product's rate that towers are supposed to reach. */
const supposedShare = 0.6
/** Bytes a second: generated and written, and loaded into a session. */
const writeRate = 2e8
const loadRate = 6e8
/** Seconds until a process has loaded its runtime, and until a session or a probe is ready. */
const startSeconds = 0.5
const openSeconds = 0.25
/** Where a model's multiply-adds are not known. */
const unknownCost: TowerCost = { parameters: 1e8, macs: 5e9 }

interface PlannedRow {
  readonly cost: TowerCost | null
  readonly batch: number
  readonly dtype: string
  readonly peakGflops: number
}

export function secondsOf(rows: readonly PlannedRow[], settings: MeasureSettings): number {
  return rows.reduce((sum, row) => sum + rowSeconds(row, settings), 0)
}

export function writeSeconds(bytes: number): number {
  return bytes / writeRate
}

function rowSeconds({ cost, batch, dtype, peakGflops }: PlannedRow, settings: MeasureSettings): number {
  const { parameters, macs } = cost ?? unknownCost
  const run = (2 * macs * batch) / 1e9 / (supposedShare * peakGflops)
  const load = towerBytes(parameters, dtype === "fp16" ? "fp16" : "fp32") / loadRate
  const runs = Math.max(run, Math.min(settings.secondsPerTurn, run * settings.runsPerTurn))
  const turns = Math.min((settings.turns + settings.mostTurns) / 2, Math.ceil(settings.seconds / runs))
  return startSeconds + load + run + turns * (openSeconds + load + Math.max(0.1, run) + runs)
}

/** Throws EnvironmentError where the folder's disk has no room for the towers. */
export async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize > bytes * 1.02) return
  throw new EnvironmentError(
    `${folder} has room for ${gigabytes(bavail * bsize)}, and the generated towers take ${gigabytes(bytes)}`,
    "free some space, set TMPDIR to a folder on a larger disk, or measure fewer models",
  )
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
