/**
 * Milliseconds of the fused towers on ONNX Runtime at batch 1, by threads, and their share of the measured matrix product.
 * Weights are generated, because values do not change the time. `mobileclip bench` measures the whole family.
 *
 *     npm run build && node dist/bench/onnx-towers.js [VARIANT...]
 */

import { bench } from "../src/benchmark/latency/bench.ts"
import type { LatencyRow } from "../src/benchmark/latency/latency-report.ts"
import { usableProcessors } from "../src/host/processors.ts"

const models = process.argv.length > 2 ? process.argv.slice(2) : ["mobileclip-s0", "mobileclip2-s2"]

for (const threads of new Set([1, usableProcessors().count])) await bench({ models, threads, onRows: report })

function report(rows: readonly LatencyRow[]): void {
  const { architecture, tower, threads, medianMs, macs, shareOfPeak } = rows[0]!
  const rate = macs! / 1e6 / medianMs
  console.log(
    `${architecture} ${tower}, ${threads} threads: ${medianMs.toFixed(1)} ms, ${(macs! / 1e9).toFixed(2)} GMAC, ${rate.toFixed(0)} GMAC/s, ${(100 * shareOfPeak!).toFixed(0)} % of the matrix product's`,
  )
}
