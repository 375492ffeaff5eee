/**
 * Host copies of a run's tensors in memory that threads share: the thread that writes a checkpoint reads them where they are. A
 * save fills the memory of the save before again, so what saves keep is one copy of the state, however many there are.
 */

import type * as torch from "../../../torch/index.ts"
import { EnvironmentError } from "../../core/errors.ts"
import type { HostCopy } from "../../tensor/torch.ts"

export class SharedCopies {
  private readonly kept = new Map<string, Float32Array>()

  /** Copies for one kind of values, whose paths other kinds have too. They last until the same path is copied again. */
  of(kind: "weights" | "optimizer" | "average"): HostCopy {
    return (path, tensor) => this.copy(`${kind} ${path}`, tensor)
  }

  private copy(name: string, tensor: torch.Tensor): Float32Array {
    const values = this.kept.get(name) ?? sharedValues(tensor.numel)
    this.kept.set(name, values)
    tensor.copyTo(values)
    return values
  }
}

/** The first save takes as much memory as the state has. */
function sharedValues(length: number): Float32Array {
  try {
    return new Float32Array(new SharedArrayBuffer(length * 4))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new EnvironmentError(
      "there is no memory left for a checkpoint: the run keeps a copy of its state",
      "go on from the last checkpoint with --resume, with more memory or a smaller batch",
    )
  }
}
