/**
 * CUDA graphs: what a GPU was given to do once is given to it again by one call, on the same memory. No operator is looked
 * up and no gradient is traced again, so a step of many small operators does not wait for the host.
 *
 * What is recorded reads its inputs from tensors that live as long as the graph, and never asks the GPU for a number.
 */
import { refusePromise } from "./scope.ts"
import { native } from "./tensor.ts"

/** Whether there is a GPU, and the addon was built with CUDA's headers. */
export function graphsAvailable(): boolean {
  return native.graphsAvailable()
}

export class Graph {
  private constructor(private readonly id: number) {}

  /**
   * Runs `fn` `warmUps` times, then once more for the record: that time nothing is computed, and what it returns is what
   * every replay fills. Tensors of it must outlive the graph (no scope may free them). The runs before choose cuDNN's
   * algorithms and make what is made once.
   *
   * @throws Error where there is no GPU, or where `fn` does what cannot be recorded: reading values, for example
   */
  static record<T>(fn: () => T, warmUps = 3): { readonly graph: Graph; readonly result: T } {
    native.enterCaptureStream()
    try {
      for (let i = 0; i < warmUps; i++) refusePromise("Graph.record", fn())
      native.beginCapture()
      const recorded = attempt(fn)
      // The capture must end in any case: until then the GPU takes no other work.
      const ended = attempt(() => new Graph(native.endCapture()))
      if ("error" in recorded) throw recorded.error
      if ("error" in ended) throw ended.error
      return { graph: ended.value, result: recorded.value }
    } finally {
      native.leaveCaptureStream()
    }
  }

  /** Gives the GPU the work again; returns before it is done. */
  replay(): void {
    native.replayGraph(this.id)
  }

  /** Waits for the GPU and gives the graph's memory back. */
  free(): void {
    native.freeGraph(this.id)
  }
}

type Attempt<T> = { readonly value: T } | { readonly error: unknown }

function attempt<T>(fn: () => T): Attempt<T> {
  try {
    return { value: fn() }
  } catch (error) {
    return { error }
  }
}
