/**
 * Cosines of many vectors: seconds of a core and GFLOP/s of the products in blocks, with the ranks of both directions or the
 * best classes, beside a plain loop in JavaScript and libtorch's product (`--torch`) on one thread.
 *
 *     npm run build && node dist/bench/similarity.js [--torch]
 */
import { Random } from "../src/core/arrays/random.ts"
import { cosines, l2Normalize, matchRanks } from "../src/core/arrays/similarity.ts"
import { topK } from "../src/evaluate/metrics/predictions.ts"

const width = 512

await report("retrieval, 5,000 images x 25,000 texts", 5000, 25_000, (images, texts) => {
  matchRanks(
    images,
    texts,
    width,
    Int32Array.from({ length: texts.length / width }, (_, text) => Math.floor(text / 5)),
  )
})
await report("classification, 50,000 images x 1,000 classes, in batches of 64", 50_000, 1000, (images, classes) => {
  for (let start = 0; start < images.length; start += 64 * width)
    topK(cosines(images.subarray(start, start + 64 * width), classes, width), 1000, 5)
})

async function report(
  what: string,
  rows: number,
  columns: number,
  work: (left: Float32Array, right: Float32Array) => void,
): Promise<void> {
  const [left, right] = [unitVectors(rows, 1), unitVectors(columns, 2)]
  console.log(`${what}, ${width} wide`)
  line("blocks, with what is computed from them", rows * columns, () => work(left, right))
  // A share of the rows: the loop takes minutes for all of them.
  const share = left.subarray(0, (rows / 50) * width)
  line("plain loop (a fiftieth of the rows)", (rows / 50) * columns, () => plainCosines(share, right))
  if (process.argv.includes("--torch")) await torchLine(left, right)
}

async function torchLine(left: Float32Array, right: Float32Array): Promise<void> {
  const torch = await import("../torch/index.ts")
  torch.setThreads(1)
  const [a, b] = [left, right].map((data) => torch.tensor(data, [data.length / width, width]))
  line("libtorch, the product alone", (left.length / width) * (right.length / width), () => {
    // The product of a share at a time: all of it would be half a gigabyte.
    for (let start = 0; start < left.length / width; start += 500)
      torch.scope(() => {
        a!.narrow(0, start, 500).matmul(b!.transpose(0, 1))
      })
  })
}

function line(name: string, products: number, work: () => void): void {
  const start = process.cpuUsage()
  work()
  const seconds = process.cpuUsage(start).user / 1e6
  const gigaflops = (2 * products * width) / seconds / 1e9
  console.log(`  ${name}: ${seconds.toFixed(2)} s, ${gigaflops.toFixed(1)} GFLOP/s`)
}

function plainCosines(left: Float32Array, right: Float32Array): Float32Array {
  const [n, m] = [left.length / width, right.length / width]
  const result = new Float32Array(n * m)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0
      for (let k = 0; k < width; k++) sum += left[i * width + k]! * right[j * width + k]!
      result[i * m + j] = sum
    }
  }
  return result
}

function unitVectors(count: number, seed: number): Float32Array {
  const random = new Random(seed)
  return l2Normalize(
    Float32Array.from({ length: count * width }, () => random.uint32() / 2 ** 32 - 0.5),
    width,
  )
}
