/**
 * Host copies of a run's tensors in memory that threads share: the thread that writes a checkpoint reads them where they are. A
 * save fills the memory of the save before again, so what saves keep is one copy of the state, however many there are.
 */
import type * as torch from "../../../torch/index.ts"
import type { HostCopy } from "../../tensor/torch.ts"

export class SharedCopies {
  private readonly kept = new Map<string, Float32Array>()

  /** Copies for one kind of values, whose paths other kinds have too. They last until the same path is copied again. */
  of(kind: "weights" | "optimizer" | "average"): HostCopy {
    return (path, tensor) => this.copy(`${kind} ${path}`, tensor)
  }

  private copy(name: string, tensor: torch.Tensor): Float32Array {
    const values = this.kept.get(name) ?? new Float32Array(new SharedArrayBuffer(tensor.numel * 4))
    this.kept.set(name, values)
    tensor.copyTo(values)
    return values
  }
}
