/** What holds for the whole process: gradient recording, autocast, random numbers, threads, devices, memory. */
import type { Memory } from "./native.ts"
import { refusePromise } from "./scope.ts"
import { type Device, native, type Tensor } from "./tensor.ts"

/** Runs `fn` without recording for gradients. */
export function noGrad<T>(fn: () => T): T {
  const before = native.setGradEnabled(false)
  try {
    const result = fn()
    refusePromise("noGrad", result)
    return result
  } finally {
    native.setGradEnabled(before)
  }
}

/**
 * Runs `fn` with matrix products and convolutions in the lower precision, and what needs range in float32, as libtorch
 * lists them. libtorch 1.13 knows only bfloat16 on the CPU.
 */
export function autocast<T>(
  options: { readonly device: "cpu" | "cuda"; readonly dtype: "bfloat16" | "float16" },
  fn: () => T,
): T {
  const before = native.enterAutocast(options.device, options.dtype)
  try {
    const result = fn()
    refusePromise("autocast", result)
    return result
  } finally {
    native.leaveAutocast(options.device, before)
  }
}

/** Whether libtorch has autocast to the type on the device: on the CPU, float16 came with 2.3. */
export function hasAutocast(options: Parameters<typeof autocast>[0]): boolean {
  try {
    autocast(options, () => {})
    return true
  } catch (error) {
    if (error instanceof Error && error.message.includes("is not possible on")) return false
    throw error
  }
}

/** d outputs / d inputs, one per input; `grad` of the leaves stays as it is. Frees the graph of the outputs. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs: readonly Tensor[] = [],
): Tensor[] {
  return native.grad(outputs, inputs, gradOutputs)
}

/** Seeds the generators of all devices; an integer. */
export function manualSeed(seed: number): void {
  native.manualSeed(seed)
}

/** The state of a device's generator, to continue from with `setGeneratorState`. */
export function generatorState(device: Device = "cpu"): Uint8Array {
  return native.generatorState(device)
}

export function setGeneratorState(state: Uint8Array, device: Device = "cpu"): void {
  native.setGeneratorState(state, device)
}

/** Threads one operator may use. */
export function threads(): number {
  return native.threads()
}

export function setThreads(count: number): void {
  native.setThreads(count)
}

export interface CudaOptions {
  /** float32 products and convolutions may round their factors to 10 bits; libtorch does so in convolutions by default. */
  readonly tf32?: boolean
  /** cuDNN times its algorithms for every new shape and keeps the fastest: results may differ in the last bits between runs. */
  readonly benchmark?: boolean
}

/** Changes what is given, for the whole process; returns what held before. Without a GPU nothing comes of it. */
export function setCudaOptions({ tf32, benchmark }: CudaOptions): Required<CudaOptions> {
  const [oldTf32, oldBenchmark] = native.setCudaOptions(tf32, benchmark)
  return { tf32: oldTf32, benchmark: oldBenchmark }
}

/** Runs `fn` with float32 products that round nothing, whatever `tf32` says outside. */
export function withoutTf32<T>(fn: () => T): T {
  // Where products are exact already, nothing is set: libtorch has convolutions round by default, and would not again.
  if (!setCudaOptions({}).tf32) return fn()
  setCudaOptions({ tf32: false })
  try {
    const result = fn()
    refusePromise("withoutTf32", result)
    return result
  } finally {
    setCudaOptions({ tf32: true })
  }
}

/** Waits until the device has done all it was given; for timing. */
export function synchronize(device: Device): void {
  native.synchronize(device)
}

export function memory(): Memory {
  return native.memory()
}

/**
 * Hands memory that is kept for tensors to come back to the system, and returns its bytes. What ten seconds did not need is
 * handed back by itself.
 */
export function releaseMemory(): number {
  return native.releaseMemory()
}

/** Takes libtorch's warnings, one per place they come from; without a listener they are Node's `process.emitWarning`. */
export function onWarning(listener: (message: string) => void): void {
  native.onWarning(listener)
}

/** The version of libtorch, for example "1.13.0" or "2.13.0+cpu". */
export function version(): string {
  const { built, running } = native.version()
  return running ?? built
}

/** The devices this libtorch can use now: "cpu" always. */
export function devices(): Device[] {
  return native.devices()
}
