/** The compiled addon (`src/addon.cc` has the same list) and where it is found. */
import { createRequire } from "node:module"
import { isMainThread } from "node:worker_threads"
import { messageOf, UserError } from "../src/core/errors.ts"
import { builtAddon, isCompatible, setupCommand } from "../src/native/addon.ts"
import { useForSignals } from "../src/native/stop-signals.ts"
import { useFastBlas } from "./blas.ts"
import { torchAddon } from "./paths.ts"

/** An operator as the dispatcher knows it. */
export interface Found {
  readonly id: number
  /** `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
  readonly schema: string
  readonly parameters: readonly string[]
}

/** All functions throw an `Error` on misuse; none of them crashes. `Tensor` is the class that `setTensorClass` was given. */
export interface Native<Tensor> {
  setTensorClass(tensorClass: new (handle: number, scoped: boolean) => Tensor, handleKey: symbol): void

  find(name: string, overload: string): Found | null
  call(id: number, ...args: unknown[]): unknown
  operatorNames(): string[]

  fromData(data: TensorData, shape: readonly number[], dtype: DType, pinned: boolean): Tensor
  toData(tensor: Tensor): TensorData
  copyTo(tensor: Tensor, target: TensorData): void
  shape(tensor: Tensor): number[]
  numel(tensor: Tensor): number
  dtype(tensor: Tensor): DType
  device(tensor: Tensor): Device

  requiresGrad(tensor: Tensor): boolean
  setRequiresGrad(tensor: Tensor, value: boolean): void
  gradOf(tensor: Tensor): Tensor | null
  setGrad(tensor: Tensor, gradient: Tensor | null): void
  backward(tensor: Tensor, gradient: Tensor | null): void
  grad(outputs: readonly Tensor[], inputs: readonly Tensor[], gradOutputs: readonly Tensor[]): Tensor[]

  freed(tensor: Tensor): boolean
  free(tensor: Tensor): void
  freeHandle(handle: number): void
  openScope(): void
  closeScope(kept: readonly Tensor[]): number
  keep(tensor: Tensor): void

  setGradEnabled(enabled: boolean): boolean
  enterAutocast(device: Device, dtype: DType): AutocastState
  leaveAutocast(device: Device, previous: AutocastState): void
  manualSeed(seed: number): void
  generatorState(device: Device): Uint8Array
  setGeneratorState(state: Uint8Array, device: Device): void
  threads(): number
  setThreads(count: number): void
  setCudaOptions(tf32?: boolean, benchmark?: boolean): readonly [tf32: boolean, benchmark: boolean]
  synchronize(device: Device): void
  memory(): Memory
  releaseMemory(): number
  onWarning(listener: (message: string) => void): void
  version(): { readonly built: string; readonly running: string | null }
  devices(): Device[]

  graphsAvailable(): boolean
  enterCaptureStream(): void
  leaveCaptureStream(): void
  beginCapture(): void
  endCapture(): number
  replayGraph(graph: number): void
  freeGraph(graph: number): void

  startTrace(device: Device): void
  stopTrace(): TraceRow[]
  beginRegion(name: string): void
  endRegion(): void

  armSignals(text: string, signals: readonly number[], patience: number, doubled: number): boolean
  claimAnswer(): boolean
  disarmSignals(): void

  distributedBackends(): Backend[]
  joinGroup(
    backend: Backend,
    address: string,
    port: number,
    rank: number,
    size: number,
    timeoutMilliseconds: number,
    file: string,
  ): void
  leaveGroup(): void
  groupFailed(): boolean
  sumOverRanks(tensor: Tensor): void
  broadcastTensors(tensors: readonly Tensor[]): void
  gatherRows(rows: Tensor): Tensor
  makeReducer(parameters: readonly Tensor[], bucketBytes: number): number
  armReducer(reducer: number): void
  finishReducer(reducer: number): void
  freeReducer(reducer: number): void
}

/** Calls of one operator, or of one node of a backward pass, in one place with one set of arguments. */
export interface TraceRow {
  /** Names from the outermost call to this one, joined by ">"; those of nodes of a backward pass begin with "backward:". */
  readonly path: string
  /** What the first operator in the path took: shapes of tensors, numbers, "-" for anything else. */
  readonly arguments: string
  /** The operator whose node of a backward pass the call is in, and its arguments; else empty. */
  readonly forward: string
  readonly forwardArguments: string
  readonly calls: number
  /** Without the calls inside. */
  readonly seconds: number
  /** Those of its tensors, read and written. */
  readonly bytes: number
}

/** What ranks send tensors with: Gloo those on the CPU, NCCL those on CUDA devices. */
export type Backend = "gloo" | "nccl"

/** What tensors hold, and where they are. */
export type DType = "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "bool"
export type Device = "cpu" | "cuda" | `cuda:${number}` | "mps"

/** Row-major values; `Uint16Array` holds the bits of float16 or bfloat16, `Uint8Array` also holds booleans. */
export type TensorData = Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array

type AutocastState = readonly [enabled: boolean, dtype: DType]

export interface Memory {
  readonly liveTensors: number
  /** Bytes of all storages that a live tensor uses, each counted once. */
  readonly liveBytes: number
  /** Bytes on the processor that no tensor uses and that are kept for the next ones; 0 outside Linux. */
  readonly kept: number
  /** Bytes of libtorch's allocator, one entry per CUDA device; left out where libtorch does not tell (before 2.9). */
  readonly cuda?: readonly { readonly allocated: number; readonly peak: number; readonly reserved: number }[]
}

/** For tensors: `native` (tensor.ts). */
export const addon = load()

function load(): Native<unknown> {
  const files = builtAddon(torchAddon)
  if (!files) throw new UserError("the libtorch addon is not built", `${setupCommand}, which builds it`)
  // Threads that wait for each other spin for some ten microseconds, then sleep. Without spinning they sleep and wake hundreds
  // of times in a step (27 against 37 ms for the quickstart's student on two quiet cores); with ten times as much a step beside
  // one other busy process takes twice as long, with libtorch's own choice ten times. OpenMP reads this once, when it is loaded.
  if (process.env.OMP_WAIT_POLICY === undefined) {
    process.env.OMP_WAIT_POLICY = "PASSIVE"
    process.env.GOMP_SPINCOUNT ??= "1000"
  }
  useFastBlas(files.file)
  let addon: Native<unknown>
  try {
    addon = createRequire(import.meta.url)(files.file)
  } catch (error) {
    throw new UserError(`the libtorch addon does not load: ${messageOf(error)}`, setupCommand, { cause: error })
  }
  const { built, running } = addon.version()
  if (running && !isCompatible(built, running)) {
    throw new UserError(`the libtorch addon was built for libtorch ${built} but runs on ${running}`, setupCommand)
  }
  addon.onWarning((message) => process.emitWarning(message, "LibtorchWarning"))
  // Node listens to signals in this thread alone.
  if (isMainThread) useForSignals(addon)
  return addon
}
