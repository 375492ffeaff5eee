/**
 * What runs a model of data generation. On the processor everything runs on ONNX Runtime, which needs no libtorch: a
 * checkpoint is exported once, into a cache. bfloat16, which ONNX Runtime does not compute there, needs libtorch and a
 * checkpoint. On a GPU a checkpoint runs on libtorch, and a folder of ONNX towers on ONNX Runtime's CUDA. `--runtime` says
 * otherwise. Either computes in the thread that calls it.
 */

import { UserError } from "../core/errors.ts"
import { type ModelDtype, type OnnxDtype, type Precision, precisionOf } from "../core/precision.ts"
import { usableProcessors } from "../host/processors.ts"
import type { LoadOptions } from "../run/load-options.ts"
import type { FolderOptions } from "../run/node.ts"
import { exportedDirectory } from "../weights/exported-directory.ts"
import { sourceOf } from "../weights/open-checkpoint.ts"
import { type Weights, withWeights } from "../weights/open-weights.ts"
import type { ModelSource } from "./model-source.ts"
import type { TorchModelInfo, TorchOptions } from "./torch-teacher.ts"

export interface RuntimeOptions {
  readonly runtime?: "onnxruntime" | "libtorch"
  readonly device?: "cpu" | "cuda"
  /** Type of ONNX weights; on libtorch, of matrix products and convolutions. */
  readonly dtype?: ModelDtype
  /** Processor threads (default: as many as this process may use). */
  readonly threads?: number | undefined
  /** Says what takes long. */
  readonly onStage?: ((text: string) => void) | undefined
}

/** What is done with a model, on either runtime. */
interface OnRuntime<T> {
  onnx(directory: string, options: FolderOptions & LoadOptions): Promise<T>
  /** Loads what needs libtorch, which may be absent, and then uses a checkpoint, which is read whole meanwhile. */
  libtorch(): Promise<(weights: Weights, info: Omit<TorchModelInfo, "preprocessing">) => Promise<T>>
}

/** Uses a model on the runtime that the options choose; for ONNX Runtime a checkpoint becomes a directory. */
export async function onRuntime<T>(source: ModelSource, options: RuntimeOptions, use: OnRuntime<T>): Promise<T> {
  const { name, variant } = source
  if (runtimeOf(source, options) !== "libtorch") {
    const { device: provider = "cpu", threads } = options
    const [{ path }, dtype] = [await prepared(source, options), onnxDtype(options)]
    return use.onnx(path, { name, provider, threads, dtype })
  }
  const run = await use.libtorch()
  return withWeights(source.path, variant, async (weights) =>
    run(weights, { name, weights: [await sourceOf(source.path)] }),
  )
}

/** The type to choose among the ONNX files of a folder or a repository; null: what is usual. */
export function onnxDtype({ dtype }: RuntimeOptions): OnnxDtype | null {
  if (dtype === "bf16") return null
  return dtype ?? null
}

/** What libtorch computes in. */
export function precisionIn({ dtype = "fp32" }: RuntimeOptions): Precision {
  return precisionOf(dtype)
}

/** Settings of libtorch, which holds for the process: `threads` too. */
export async function torchOptions(options: RuntimeOptions): Promise<TorchOptions> {
  const { device = "cpu", threads = usableProcessors().count } = options
  const torch = await import("../../torch/index.ts")
  torch.setThreads(threads)
  return { device, precision: precisionIn(options) }
}

/** Whether weights are wanted where ONNX towers are there, too. */
export function wantsCheckpoint({ runtime, dtype }: RuntimeOptions): boolean {
  return runtime === undefined ? dtype === "bf16" : runtime === "libtorch"
}

/** @throws UserError where there is none that does it */
export function runtimeOf(source: ModelSource, options: RuntimeOptions): "onnxruntime" | "libtorch" {
  const { runtime, device = "cpu", dtype } = options
  const isGpu = source.kind === "checkpoint" && device === "cuda"
  const chosen = runtime ?? (isGpu || wantsCheckpoint(options) ? "libtorch" : "onnxruntime")
  if (chosen === "libtorch" && source.kind === "directory") {
    const what = runtime === undefined ? ": bf16 is a type of libtorch's" : ""
    throw new UserError(
      `${source.name} is a folder of ONNX files, which libtorch does not run${what}`,
      `give the checkpoint they were made from, or leave out ${what ? "--dtype bf16" : "--runtime"}`,
    )
  }
  if (chosen === "onnxruntime" && dtype === "bf16") {
    throw new UserError("bf16 is a type of libtorch's", "use --dtype fp16, or --runtime libtorch")
  }
  return chosen
}

/**
 * The source as its runtime takes it: a checkpoint for ONNX Runtime becomes a directory. Doing so before workers start
 * spares them to do it at the same time.
 */
export async function prepared(source: ModelSource, options: RuntimeOptions): Promise<ModelSource> {
  if (source.kind === "directory" || runtimeOf(source, options) === "libtorch") return source
  const { onStage } = options
  return {
    ...source,
    kind: "directory",
    path: await exportedDirectory(source, { dtype: onnxDtype(options), onStage }),
  }
}
