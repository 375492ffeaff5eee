/** The processes that train one model together. Each has its part of every batch. */
import { hostname } from "node:os"
import * as torch from "../../../torch/index.ts"
import { messageOf, UserError } from "../../core/errors.ts"
import { type RankInfo, rankInfoFrom } from "./environment.ts"
import { endWithLauncher } from "./launch.ts"

/**
 * All ranks must call the same operations in the same order. Where a rank is lost, all others throw a UserError from
 * the operation they are in.
 */
export interface ProcessGroup {
  readonly rank: number
  readonly size: number
  /** Where this rank computes: "cpu", or its own CUDA device. */
  readonly device: torch.Device
  /**
   * [n, D] of each rank -> [size * n, D] in the order of ranks. A row's gradient is the sum of the gradients of all ranks.
   *
   * @param alike whether the shape is known to be the same on all ranks, so that it is not compared
   * @throws Error on every rank when the shapes differ
   */
  gatherWithGradient(features: torch.Tensor, alike?: boolean): torch.Tensor
  /** The same without gradients. */
  gather(values: torch.Tensor): torch.Tensor
  /** Gives the tensors the values of rank 0's. */
  broadcast(tensors: Iterable<torch.Tensor>): void
  /** Gradients become their mean over ranks, in buckets that are sent while the backward pass runs. */
  overlapGradients(parameters: readonly torch.Tensor[]): GradientReducer
  /** The sums over ranks. */
  sum(values: readonly number[]): number[]
  /** The means over ranks of measurements. */
  mean(values: readonly number[]): number[]
  /** Whether the flag is true on any rank, so that a signal on one rank stops all of them after the same step. */
  any(flag: boolean): boolean
  /** Runs a function that calls the group's operations (a backward pass), and throws as they do where a rank is lost. */
  guard<T>(fn: () => T): T
  /** Leaves the group. Does not wait after a failure. */
  close(): void
}

export interface GradientReducer {
  /** To be called before the last backward pass of a step: its gradients are sent as they come, with those of the passes before. */
  arm(): void
  /** Waits until all gradients are the mean over ranks. Throws when a parameter has none. */
  finish(): void
  free(): void
}

interface GroupOptions {
  /** "cuda" stands for the CUDA device of the local rank. */
  readonly device?: torch.Device
  /** How long a rank may be late, at the start and in every operation. */
  readonly timeoutSeconds?: number
}

/**
 * Joins the group that the environment describes (`rankInfoFrom`), and waits for all ranks.
 *
 * @returns null when this process trains alone
 * @throws UserError when the variables are wrong, other ranks do not come, or this libtorch cannot train distributed
 */
export function processGroupFromEnvironment(options: GroupOptions = {}): ProcessGroup | null {
  endWithLauncher()
  const info = rankInfoFrom(process.env)
  return info && joinGroup(info, options)
}

/** Whether this process is alone, or the first of its group: it writes, evaluates and prints. */
export function isFirstRank(group: ProcessGroup | null | undefined): boolean {
  return !group || group.rank === 0
}

/** Ten minutes: longer than an evaluation on one rank that the others wait for. */
const defaultTimeoutSeconds = 600

/** Waits until all ranks have joined. Throws as `processGroupFromEnvironment` does. */
function joinGroup(info: RankInfo, options: GroupOptions = {}): ProcessGroup {
  const { device = "cpu", timeoutSeconds = defaultTimeoutSeconds } = options
  const backend = backendFor(device)
  const { rank, size, address, port, file } = info
  try {
    torch.distributed.join({ backend, address, port, rank, size, timeoutSeconds, ...(file && { file }) })
  } catch (error) {
    throw new UserError(
      `rank ${rank} of ${size} could not join the others at ${file ?? `${address}:${port}`}: ${firstLine(error)}`,
      file
        ? "the rank that stopped first says why"
        : "are all ranks started, with one MASTER_ADDR and MASTER_PORT that can be reached from every machine?",
      { cause: error },
    )
  }
  const own = device === "cuda" ? (`cuda:${info.localRank}` as const) : device
  return new C10dGroup(info, own)
}

function backendFor(device: torch.Device): torch.distributed.Backend {
  const backend = device.startsWith("cuda") ? "nccl" : "gloo"
  if (torch.distributed.backends().includes(backend)) {
    // Before 2.0, libtorch waits for a lost rank for ever unless it is told otherwise.
    if (backend === "nccl" && torch.version().startsWith("1.")) process.env.NCCL_ASYNC_ERROR_HANDLING ??= "1"
    return backend
  }
  if (backend === "gloo") {
    throw new UserError("this libtorch was built without distributed training (c10d)", "train in one process")
  }
  throw new UserError(
    "training on several CUDA devices needs NCCL, which this libtorch or its addon was built without",
    "install the headers nccl.h and cuda_runtime_api.h (CUDA toolkit, libnccl-dev), then: npx mobileclip setup --force",
  )
}

/** The most dimensions of a tensor that is gathered. */
const maxDimensions = 4

class C10dGroup implements ProcessGroup {
  readonly rank: number
  readonly size: number

  constructor(
    info: RankInfo,
    readonly device: torch.Device,
  ) {
    this.rank = info.rank
    this.size = info.size
  }

  gatherWithGradient(features: torch.Tensor, alike = false): torch.Tensor {
    return this.guard(() => {
      if (!alike) this.requireAlike(features.shape)
      return torch.distributed.gather(features)
    })
  }

  gather(values: torch.Tensor): torch.Tensor {
    return torch.noGrad(() => this.gatherWithGradient(values))
  }

  broadcast(tensors: Iterable<torch.Tensor>): void {
    this.guard(() => torch.distributed.broadcast(tensors))
  }

  overlapGradients(parameters: readonly torch.Tensor[]): GradientReducer {
    const reducer = new torch.distributed.Reducer(parameters)
    return {
      arm: () => reducer.arm(),
      finish: () => this.guard(() => reducer.finish()),
      free: () => reducer.free(),
    }
  }

  sum(values: readonly number[]): number[] {
    return this.guard(() =>
      torch.scope(() => {
        const sums = torch.tensor(Float64Array.from(values), [values.length], { device: this.device })
        torch.distributed.allReduce(sums)
        return Array.from(sums.data() as Float64Array)
      }),
    )
  }

  mean(values: readonly number[]): number[] {
    return this.sum(values).map((sum) => sum / this.size)
  }

  any(flag: boolean): boolean {
    return this.mean([flag ? 1 : 0])[0]! > 0
  }

  guard<T>(fn: () => T): T {
    try {
      return fn()
    } catch (error) {
      if (error instanceof UserError || !torch.distributed.failed()) throw error
      throw new UserError(
        `rank ${this.rank} of ${this.size} on ${hostname()}: ${firstLine(error)}`,
        "the rank that stopped first says why; where a checkpoint was saved it is whole: go on from it with --resume",
        { cause: error },
      )
    }
  }

  close(): void {
    torch.distributed.leave()
  }

  /** The backends do not compare shapes: Gloo ends the process where they differ. */
  private requireAlike(shape: readonly number[]): void {
    const own = [shape.length, ...shape, ...Array(maxDimensions).fill(0)].slice(0, maxDimensions + 1)
    const all = torch.scope(() => {
      const row = torch.tensor(BigInt64Array.from(own, BigInt), [1, own.length], { device: this.device })
      return Array.from(torch.distributed.gather(row).data(), Number)
    })
    for (let rank = 0; rank < this.size; rank++) {
      const [dimensions, ...sizes] = all.slice(rank * own.length, (rank + 1) * own.length) as [number, ...number[]]
      const other = sizes.slice(0, dimensions)
      if (String(other) !== String(shape)) {
        throw new Error(`rank ${this.rank} has [${shape}] to gather, rank ${rank} has [${other}]: shapes must be equal`)
      }
    }
  }
}

function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0]!
}
