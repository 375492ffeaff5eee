/**
 * Milliseconds a picture of the image towers in float32 on ONNX Runtime and on libtorch, and in bfloat16 on libtorch, taking
 * turns in one process; and its share of a matrix product's rate in the same type, measured in the same turns: medians of both,
 * and of the runtimes' products the faster one, because a convolution may be faster than a runtime's own product.
 * Weights are generated, because values do not change the time.
 *
 *     npm run build && node dist/bench/precision.js [--batch 8,32] [VARIANT...]
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { towerCost, writeTower } from "../src/benchmark/latency/generated.ts"
import { openTorchProducts, openTorchTower } from "../src/benchmark/latency/libtorch.ts"
import { type Configuration, type Measured, measureInTurn } from "../src/benchmark/latency/measure.ts"
import { gflops, openProducts, PeakProbe, Products } from "../src/benchmark/latency/peak.ts"
import { openTower, type Runner } from "../src/benchmark/latency/runner.ts"
import { median } from "../src/core/arrays/quantile.ts"
import { findVariant } from "../src/core/family/variant-name.ts"
import { type ClipConfig, variants } from "../src/core/family/variants.ts"
import { towers } from "../src/core/inference/manifest.ts"
import { noProgress } from "../src/core/progress.ts"
import { temporaryFolder } from "../src/host/files/temporary.ts"
import { processorFeatures } from "../src/host/processor-features.ts"
import * as torch from "../torch/index.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { batch: { type: "string", default: "8,32" } },
})
const names = positionals.length > 0 ? positionals : ["mobileclip2-s0", "mobileclip2-s2", "mobileclip2-b"]
const batches = values.batch.split(",").map(Number)
const threads = availableParallelism()
/** Short turns, so that a machine that becomes slower does so for all alike. */
const settings = { turns: 6, mostTurns: 6, secondsPerTurn: 0.5, runsPerTurn: 8, tolerance: 0.05, seconds: 60 }

/** As large as it must be to run at full rate in bfloat16. */
const products = new Products(2048, 1)
const device = "cpu"
const ways = ["float32 on ONNX Runtime", "float32 on libtorch", "bfloat16 on libtorch"] as const
type Way = (typeof ways)[number]

interface Row extends Configuration {
  readonly way: Way
}

using folder = temporaryFolder("precision")
const probes = new Map<Way, PeakProbe>()
for (const way of ways) probes.set(way, await PeakProbe.of(products, await openedProducts(way)))
console.log(`libtorch ${torch.version()}, ${threads} threads, ${processorFeatures().join(" ")}`)
for (const name of names) {
  const { model } = variants[findVariant(name)]
  await writeTower(model, "image", folder.path, `${name}.onnx`, { dtype: "fp32" })
  for (const batch of batches) await compare(name, model, batch)
}
for (const probe of probes.values()) await probe.close()

async function compare(name: string, model: ClipConfig, batch: number): Promise<void> {
  const opened = new Map<Way, Runner>()
  for (const way of ways) opened.set(way, await openedTower(way, name, model, batch))
  // Open all the time: a turn does not begin with loading.
  const rows = ways.map((way): Row => {
    return { way, probe: probes.get(way)!, open: async () => ({ run: opened.get(way)!.run, close: async () => {} }) }
  })
  const found = new Map<Way, Measured>()
  const onMeasured = ({ way }: Row, measured: Measured) => void found.set(way, measured)
  await measureInTurn(rows, settings, { onMeasured, progress: noProgress("", 0, { unit: "runs" }) })
  for (const way of ways) report(name, model, batch, way, found)
  for (const runner of opened.values()) await runner.close()
}

function report(name: string, model: ClipConfig, batch: number, way: Way, found: ReadonlyMap<Way, Measured>): void {
  const typical = median(found.get(way)!.samples) / batch
  const sameType = ways.filter((other) => dtypeOf(other) === dtypeOf(way))
  const peak = Math.max(...sameType.map((other) => found.get(other)!.peakGflops))
  const share = gflops(towerCost(model, "image").macs, typical) / peak
  console.log(
    `${name}, batch ${batch}, ${way}: ${typical.toFixed(1)} ms, ` +
      `which is ${(100 * share).toFixed(0)} % of ${peak.toFixed(0)} GFLOP/s`,
  )
}

function openedProducts(way: Way): Promise<Runner> | Runner {
  if (way === "float32 on ONNX Runtime") return openProducts(products, folder.path, "fp32", { threads, device })
  return openTorchProducts(products, { device, threads, dtype: dtypeOf(way) })
}

async function openedTower(way: Way, name: string, model: ClipConfig, batch: number): Promise<Runner> {
  if (way !== "float32 on ONNX Runtime") {
    return openTorchTower({ kind: "generated", config: model }, "image", batch, {
      device,
      threads,
      dtype: dtypeOf(way),
    })
  }
  const place = { ...towers.image, tower: "image", directory: folder.path, file: `${name}.onnx` } as const
  const sizes = { imageSize: model.imageSize, contextLength: model.text.contextLength }
  return openTower({ ...place, ...sizes }, { batch, threads, device })
}

function dtypeOf(way: Way): "fp32" | "bf16" {
  return way === "bfloat16 on libtorch" ? "bf16" : "fp32"
}
