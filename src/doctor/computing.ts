/** What computes, in a line, for `--verbose`. */
import { readFileSync } from "node:fs"
import { blasText } from "../../torch/blas.ts"
import { torchAddon } from "../../torch/paths.ts"
import type { WantedDtype } from "../core/precision.ts"
import { bfloat16Text, processorFeatures } from "../host/processor-features.ts"
import { builtAddon } from "../native/addon.ts"

interface Given {
  readonly device: string
  /** Processor threads of each process. */
  readonly threads: number
}

interface ModelRuntime {
  /** Default: by what the models are. */
  readonly runtime?: "onnxruntime" | "libtorch"
  readonly device?: "cpu" | "cuda"
  /** "auto": chosen by a measurement, which says its outcome itself. */
  readonly dtype?: WantedDtype
}

/**
 * What a process that has loaded libtorch computes with: which libtorch and where it lies, the device, threads, and the
 * kernels of matrix products with the reason for them.
 *
 * @param version of libtorch, as it says itself
 */
export function libtorchInUse(version: string, { device, threads }: Given): string {
  const file = loadedFile(/\/libtorch_cpu\.[^/]*$/)
  const count = `${threads} processor ${threads === 1 ? "thread" : "threads"}`
  return `libtorch ${version}${file ? ` (${file})` : ""}; device ${device}, ${count}; ${matrixProducts()}`
}

/** What models of data generation run on, in the worker processes that load them. */
export function modelsRunOn({ runtime, device = "cpu", dtype }: ModelRuntime): string {
  const libtorch = `libtorch (${matrixProducts()})`
  if (runtime === "libtorch" || (runtime === undefined && dtype === "bf16"))
    return `models run on ${libtorch}; device ${device}`
  if (runtime === undefined && dtype === "auto" && device === "cpu")
    return `models run on ONNX Runtime, or in bfloat16 on ${libtorch}; device ${device}`
  if (runtime === "onnxruntime" || device === "cpu") return `models run on ONNX Runtime; device ${device}`
  return `exported models run on ONNX Runtime, checkpoints on ${libtorch}; device ${device}`
}

function matrixProducts(): string {
  const addon = builtAddon(torchAddon)
  const kernels = addon ? blasText(addon.file) : "libtorch's addon is not built"
  return `matrix products on the processor: ${kernels}; ${bfloat16Text(processorFeatures())}`
}

/** A library of this process, where the system says (Linux). */
function loadedFile(name: RegExp): string | null {
  if (process.platform !== "linux") return null
  const paths = readFileSync("/proc/self/maps", "utf8").split("\n")
  return paths.map((line) => line.slice(line.indexOf("/"))).find((path) => name.test(path)) ?? null
}
