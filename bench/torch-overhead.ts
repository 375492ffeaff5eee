/**
 * What a call through the binding costs, and whether scopes keep memory flat.
 *
 *     node dist/bench/torch-overhead.js
 *
 * Prints the figures and exits with 1 when one is beyond its bound.
 */
import { scope, type Tensor, tensor, version } from "../torch/index.ts"

const maxMicroseconds = 4
const maxGrowth = 0.05
const perScope = 100

/** Adds two tensors of 4 numbers `count` times, in scopes of 100 operations. */
function add(x: Tensor, y: Tensor, count: number): void {
  for (let i = 0; i < count; i += perScope) {
    scope(() => {
      for (let j = 0; j < perScope; j++) x.add(y)
    })
  }
}

/** Median of 21 rounds, in microseconds of processor time per operation, because waiting on a busy machine is not a cost. */
function cost(x: Tensor, y: Tensor): number {
  const count = 20_000
  const rounds = Array.from({ length: 21 }, () => {
    const start = process.cpuUsage()
    add(x, y, count)
    const { user, system } = process.cpuUsage(start)
    return (user + system) / count
  })
  return rounds.sort((a, b) => a - b)[10]!
}

/** Growth of resident memory over a million operations, as a fraction; the first 100,000 warm up. */
function growth(x: Tensor, y: Tensor): { readonly start: number; readonly end: number } {
  add(x, y, 100_000)
  const start = process.memoryUsage.rss()
  add(x, y, 1_000_000)
  return { start, end: process.memoryUsage.rss() }
}

const x = tensor([1, 2, 3, 4], [4])
const y = tensor([5, 6, 7, 8], [4])
add(x, y, 20_000)
const microseconds = cost(x, y)
const recorded = cost(tensor([1, 2, 3, 4], [4], { requiresGrad: true }), y)
const { start, end } = growth(x, y)
const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

console.log(`libtorch ${version()}, x.add(y) on [4] inside scopes`)
console.log(`  cost       ${microseconds.toFixed(2)} us (bound ${maxMicroseconds})`)
console.log(`  recorded   ${recorded.toFixed(2)} us, with a gradient graph`)
console.log(`  a million  ${megabytes(start)} -> ${megabytes(end)} resident (bound ${maxGrowth * 100} %)`)
if (microseconds > maxMicroseconds || end > start * (1 + maxGrowth)) process.exitCode = 1
