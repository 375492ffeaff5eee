/** What the device can do at most: the rate of a large matrix product, and of memory. */
import type { Precision } from "../../src/core/precision.ts"
import * as torch from "../../torch/index.ts"
import { memoryBandwidth } from "../search/bandwidth.ts"

export interface Bounds {
  /** Operations a second, two for a multiply-add: the best of some products. */
  readonly operations: number
  /** Bytes a second. */
  readonly bytes: number
}

export interface Machine {
  readonly device: torch.Device
  readonly threads: number
  readonly precision: Precision
}

export async function measureBounds({ device, threads, precision }: Machine): Promise<Bounds> {
  const bytes = device === "cpu" ? await memoryBandwidth(threads) : deviceBandwidth(device)
  return { operations: productRate(device, precision), bytes }
}

/** Other programs disturb some of the runs: there are many, as long as they do not take long together. */
const runs = { least: 3, most: 24, milliseconds: 2000 }

function productRate(device: torch.Device, dtype: Precision): number {
  const size = device === "cpu" ? 2048 : 8192
  return torch.noGrad(() =>
    torch.scope(() => {
      const [left, right] = [0, 1].map(() => torch.randn([size, size], { dtype, device }))
      return (2 * size ** 3) / fastest(device, () => left!.matmul(right!).free())
    }),
  )
}

/** A copy reads and writes. */
function deviceBandwidth(device: torch.Device): number {
  const bytes = 2 ** 30
  return torch.scope(() => {
    const [from, to] = [0, 1].map(() => torch.zeros([bytes / 4], { device }))
    return (2 * bytes) / fastest(device, () => void to!.copy_(from!))
  })
}

/** Seconds. */
function fastest(device: torch.Device, work: () => void): number {
  const times: number[] = []
  const took = () => times.reduce((sum, time) => sum + time, 0)
  while (times.length < runs.least || (times.length < runs.most && took() < runs.milliseconds)) {
    torch.synchronize(device)
    const start = performance.now()
    work()
    torch.synchronize(device)
    times.push(performance.now() - start)
  }
  return Math.min(...times) / 1000
}
