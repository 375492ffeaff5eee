/** How fast this machine multiplies matrices: a bound for any training on it. */
import * as torch from "../../../torch/index.ts"
import type { Precision } from "../../core/precision.ts"

interface CalibrationOptions {
  readonly device: torch.Device
  readonly threads: number
  readonly precision: Precision
}

/** Large enough to be bound by arithmetic, small enough for a step that takes milliseconds. */
const SIZES = { cpu: 1024, other: 8192 } as const

/** Long enough that a short pause of the machine does not decide. */
const LEAST_MILLISECONDS = 500

/** Multiply-adds a second of square matrix products; takes about a second. */
export function matmulRate({ device, threads, precision }: CalibrationOptions): number {
  torch.setThreads(threads)
  const size = device === "cpu" ? SIZES.cpu : SIZES.other
  return torch.scope(() => {
    const matrix = torch.ones([size, size], { dtype: precision, device })
    multiply(matrix, 2)
    const started = performance.now()
    let products = 0
    for (; performance.now() - started < LEAST_MILLISECONDS; products += 4) multiply(matrix, 4)
    return (products * size ** 3 * 1000) / (performance.now() - started)
  })
}

/** Reading one value waits for a device that computes asynchronously. */
function multiply(matrix: torch.Tensor, times: number): void {
  torch.scope(() => {
    let result = matrix
    for (let i = 0; i < times; i++) result = matrix.matmul(matrix)
    result.narrow(0, 0, 1).narrow(1, 0, 1).to({ dtype: "float32" }).item()
  })
}
