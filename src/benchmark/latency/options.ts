/** What a benchmark is asked for, and what holds where nothing is said. */

import { UserError } from "../../core/errors.ts"
import { type ModelDtype, type OnnxDtype, onnxDtypes } from "../../core/precision.ts"
import type { StartProgress } from "../../core/progress.ts"
import type { TowerName } from "../../export/towers.ts"
import { usableProcessors } from "../../host/processors.ts"
import type { LatencyRow } from "./latency-report.ts"
import { type MeasureSettings, measureDefaults, quickSettings } from "./measure.ts"
import type { BenchPlan } from "./plan.ts"
import type { RunOptions } from "./runner.ts"

export const benchRuntimes = ["onnxruntime", "libtorch"] as const
type Runtime = (typeof benchRuntimes)[number]

export const benchDevices = [
  "cpu",
  "cuda",
  "coreml",
  "dml",
  "webgpu",
] as const satisfies readonly RunOptions["device"][]
type Device = (typeof benchDevices)[number]

export interface BenchOptions {
  /** Names of the family, whose weights are generated, or models on this machine: folders, files of weights, runs. */
  readonly models: readonly string[]
  readonly towers?: readonly TowerName[]
  readonly runtime?: Runtime
  /** Default: the processor. */
  readonly devices?: readonly Device[]
  /** Default: fp32, or what a model's folder has. bf16 on libtorch only. */
  readonly dtypes?: readonly ModelDtype[]
  /** Default: 1. */
  readonly batches?: readonly number[]
  /** Processor threads; default: as many as this process may use. */
  readonly threads?: number
  /** Fewer runs. */
  readonly quick?: boolean
  readonly settings?: Partial<MeasureSettings>
  /** Is told before the towers are made. */
  readonly onPlan?: (plan: BenchPlan) => void
  /** Is told of the rows that one measurement gives, when it ends: one for each model with this tower. */
  readonly onRows?: (rows: readonly LatencyRow[]) => void
  /** Says what is left out. */
  readonly say?: (line: string) => void
  readonly startProgress?: StartProgress
  /** Ends the benchmark after the current run, with AbortError. */
  readonly signal?: AbortSignal
}

export const benchDefaults = {
  towers: ["image", "text"],
  runtime: "onnxruntime",
  devices: ["cpu"],
  batches: [1],
} as const satisfies Partial<BenchOptions>

export interface Settled {
  readonly towers: readonly TowerName[]
  readonly runtime: Runtime
  readonly devices: readonly Device[]
  /** Null: what a model's folder has, and fp32 for others. */
  readonly dtypes: readonly ModelDtype[] | null
  readonly batches: readonly number[]
  readonly threads: number
  readonly quick: boolean
  readonly settings: MeasureSettings
  readonly note: (line: string) => void
  readonly signal: AbortSignal | undefined
}

/** Throws UserError where options contradict each other. */
export function settle(options: BenchOptions, note: Settled["note"]): Settled {
  const { quick = false, runtime = benchDefaults.runtime, devices = benchDefaults.devices, dtypes = null } = options
  if (options.models.length === 0) throw new UserError("there is no model to measure", "name one, or the family")
  if (runtime === "onnxruntime" && dtypes?.includes("bf16")) {
    throw new UserError("bf16 is a type of libtorch's", "use --dtype fp16, or --runtime libtorch")
  }
  const other = devices.find((device) => device !== "cpu" && device !== "cuda")
  if (runtime === "libtorch" && other) {
    throw new UserError(`libtorch does not compute on ${other}`, "use --device cpu or cuda, or leave out --runtime")
  }
  return {
    ...{ quick, runtime, note, devices: unique(devices), dtypes: dtypes && unique(dtypes) },
    towers: unique(options.towers ?? benchDefaults.towers),
    batches: unique(options.batches ?? benchDefaults.batches),
    threads: options.threads ?? usableProcessors().count,
    settings: { ...(quick ? quickSettings : measureDefaults), ...options.settings },
    signal: options.signal,
  }
}

export function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)]
}

/** The types that files of ONNX have. */
export function onnxOnly({ dtypes }: Settled): OnnxDtype[] | null {
  return dtypes && onnxDtypes.filter((dtype) => dtypes.includes(dtype))
}
