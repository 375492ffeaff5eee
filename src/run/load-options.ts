/** How a model is run. A file of its own: an application sees these types, and none of ONNX Runtime's, which name a browser's. */
import type { Towers } from "../core/inference/onnx-files.ts"

export const providers = ["cpu", "cuda", "coreml", "dml", "webgpu"] as const

export interface LoadOptions {
  /** Processor threads of each tower; default: as many as this process may use, a container's CPU quota included. */
  readonly threads?: number | undefined
  /**
   * Whether threads of a tower wait for work by spinning (default: yes). Without it, other work beside a tower gets the
   * processors while its threads wait for each other.
   */
  readonly spinning?: boolean | undefined
  /**
   * Whether weights are laid out for the processor's kernels when a tower is opened (default: yes). Without it, a tower opens
   * sooner and each run takes longer: for a process that runs it once.
   */
  readonly prepacking?: boolean | undefined
  /** Where to compute; default: the processor. What else there is depends on the build of ONNX Runtime. */
  readonly provider?: (typeof providers)[number] | undefined
  /** Is told what was chosen, in lines for people, when it is: a tower is opened when it is first used. */
  readonly onChoice?: ((line: string) => void) | undefined
  /** Whether vectors of labels are kept between runs, in this user's cache (default: yes). */
  readonly cache?: boolean | undefined
  /** Is told, in a line for people, why vectors of labels cannot be kept. */
  readonly onNote?: ((line: string) => void) | undefined
  /** Which towers are used: the files of the other one need not be there. Default: both. */
  readonly towers?: Towers | undefined
}
