/**
 * Processes that compute together, over libtorch's c10d: one group per process.
 *
 * Every operation must be called in one order on all ranks, with tensors of equal shapes. They block; where another
 * rank is lost, or does not come within the group's time, they throw, and the group cannot be used any more.
 */
import type { Backend } from "./native.ts"
import { native, type Tensor } from "./tensor.ts"

export type { Backend } from "./native.ts"

interface Rendezvous {
  readonly backend: Backend
  /** Where rank 0 listens. */
  readonly address: string
  readonly port: number
  /** Where all ranks are on this machine: they find each other in this file, and nothing listens at the port. */
  readonly file?: string
  readonly rank: number
  readonly size: number
  /** The longest that joining, and each operation, may take. */
  readonly timeoutSeconds: number
}

/** What this libtorch and its addon can join by; empty where libtorch was built without c10d. */
export function backends(): Backend[] {
  return native.distributedBackends()
}

/** Waits until all ranks are there. Throws when they do not come, or this process is in a group already. */
export function join({ backend, address, port, rank, size, timeoutSeconds, file = "" }: Rendezvous): void {
  native.joinGroup(backend, address, port, rank, size, Math.round(timeoutSeconds * 1000), file)
}

/** Leaves the group, if this process is in one. */
export function leave(): void {
  native.leaveGroup()
}

/** Whether an operation of the group has failed. */
export function failed(): boolean {
  return native.groupFailed()
}

/** The tensor becomes the sum of all ranks' tensors, in place and outside the gradient graph. */
export function allReduce(tensor: Tensor): void {
  native.sumOverRanks(tensor)
}

/** The tensors become rank 0's, in place and outside the gradient graph. */
export function broadcast(tensors: Iterable<Tensor>): void {
  native.broadcastTensors([...tensors])
}

/** [n, ...] -> [size * n, ...] in the order of ranks. A row's gradient is the sum of what all ranks make of it. */
export function gather(rows: Tensor): Tensor {
  return native.gatherRows(rows)
}

/** c10d's own default. */
const defaultBucketBytes = 25 * 2 ** 20

/** Makes gradients their mean over ranks, in buckets that are sent while the backward pass still runs. */
export class Reducer {
  private readonly number: number

  /** @param parameters leaves that require gradients, on one device; the same ones in one order on all ranks */
  constructor(parameters: readonly Tensor[], bucketBytes = defaultBucketBytes) {
    this.number = native.makeReducer(parameters, bucketBytes)
  }

  /** Before the last backward pass of a step: from now on, a gradient that comes is complete. */
  arm(): void {
    native.armReducer(this.number)
  }

  /**
   * Waits until every `grad` is the mean over ranks; those that came before `arm` are sent now.
   *
   * @throws Error when a parameter has no gradient
   */
  finish(): void {
    native.finishReducer(this.number)
  }

  free(): void {
    native.freeReducer(this.number)
  }
}
