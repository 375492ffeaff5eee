/**
 * What runs a model of data generation. On the processor everything runs on ONNX Runtime, which needs no libtorch and is
 * as fast there: a checkpoint is exported once, into a cache. On a GPU a checkpoint runs on libtorch, and a folder of ONNX
 * towers on ONNX Runtime's CUDA. `--runtime` says otherwise. Either computes in the thread that calls it.
 */
import { existsSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { UserError } from "../core/errors.ts"
import { manifestFile } from "../core/inference/manifest.ts"
import type { OnnxDtype } from "../core/inference/onnx-files.ts"
import type { WeightsFile } from "../core/inference/teacher-identity.ts"
import { requireFileName } from "../core/inside.ts"
import { exportModel } from "../export/export.ts"
import { makeDirectory } from "../host/files/files.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import type { LoadOptions } from "../run/node.ts"
import { sourceOf } from "../weights/open-checkpoint.ts"
import { type Weights, withWeights } from "../weights/open-weights.ts"
import type { ModelSource } from "./model-source.ts"
import type { TorchTeacherOptions } from "./torch-teacher.ts"

export const runtimes = ["onnxruntime", "libtorch"] as const
export const devices = ["cpu", "cuda"] as const
export const dtypes = ["fp32", "fp16", "bf16"] as const

export interface RuntimeOptions {
  readonly runtime?: (typeof runtimes)[number]
  readonly device?: (typeof devices)[number]
  /** Of ONNX weights; on libtorch, of matrix products and convolutions. */
  readonly dtype?: (typeof dtypes)[number]
  /** Of the processor (default: as many as this process may use). */
  readonly threads?: number
  /** Says what takes long. */
  readonly onStage?: (text: string) => void
  /** Where exported checkpoints are kept. */
  readonly cacheDir?: string
}

/** The type to choose among the ONNX files of a folder or a repository; null: what is usual. */
export function onnxDtype({ dtype }: RuntimeOptions): OnnxDtype | null {
  if (dtype === "bf16") return null
  return dtype ?? null
}

export function runtimeOf({ kind, name }: ModelSource, { runtime, device = "cpu", dtype }: RuntimeOptions) {
  const chosen = runtime ?? (kind === "checkpoint" && device === "cuda" ? "libtorch" : "onnxruntime")
  if (chosen === "libtorch" && kind === "directory") {
    throw new UserError(
      `${name} is a folder of ONNX files, which libtorch does not run`,
      "give the checkpoint they were made from, or leave out --runtime",
    )
  }
  if (chosen === "onnxruntime" && dtype === "bf16") {
    throw new UserError("bf16 is a type of libtorch's", "use --dtype fp16, or --runtime libtorch")
  }
  return chosen
}

export function loadOptions({ device = "cpu", threads }: RuntimeOptions): LoadOptions {
  return { provider: device, ...(threads !== undefined && { threads }) }
}

/** Settings of libtorch, which holds for the process: `threads` too. */
export async function torchOptions({ device, dtype, threads }: RuntimeOptions): Promise<TorchTeacherOptions> {
  const torch = await import("../../torch/index.ts")
  torch.setThreads(threads ?? availableParallelism())
  return { ...(device && { device }), ...(dtype && { precision: dtype }) }
}

/** Reads a checkpoint whole while `use` runs, and hashes it. */
export function withCheckpointFile<T>(
  { path, variant }: ModelSource,
  use: (weights: Weights, files: readonly WeightsFile[]) => Promise<T>,
): Promise<T> {
  return withWeights(path, variant, async (weights) => use(weights, [await sourceOf(path)]))
}

/**
 * The source as its runtime takes it: a checkpoint for ONNX Runtime becomes a directory. Doing so before workers start
 * spares them to do it at the same time.
 */
export async function prepared(source: ModelSource, options: RuntimeOptions): Promise<ModelSource> {
  if (source.kind === "directory" || runtimeOf(source, options) === "libtorch") return source
  return { ...source, kind: "directory", path: await exportedDirectory(source, options) }
}

/** Of a checkpoint's ONNX towers, exported at the first time; its name says what it is made of. */
async function exportedDirectory(source: ModelSource, options: RuntimeOptions): Promise<string> {
  const { onStage, cacheDir = join(ownCacheDir(process.env), "exported") } = options
  const dtype = onnxDtype(options) ?? "fp32"
  const origin = await sourceOf(source.path)
  return withWeights(source.path, source.variant, async ({ model, info }) => {
    // The name is the checkpoint's own word.
    const name = requireFileName(`${info.name}-${dtype}-${origin.sha256.slice(0, 16)}`, source.name)
    const directory = join(cacheDir, name)
    if (existsSync(join(directory, manifestFile))) return directory
    onStage?.(`${source.name}: exporting for ONNX Runtime, to ${directory}`)
    await makeDirectory(dirname(directory))
    await exportModel(model, info, directory, { source: origin, dtype })
    return directory
  })
}
