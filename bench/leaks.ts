/**
 * Resident memory over 50 loads and disposals of a model as large as MobileCLIP2-S0, with generated weights, each with a
 * picture classified in between: after the last ten, at most 10 % more than after the second ten (medians).
 *
 *     npm run build && node dist/bench/leaks.js [TIMES]
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { generatedClip } from "../src/benchmark/latency/generated.ts"
import { variants } from "../src/core/family/variants.ts"
import { exportModel } from "../src/export/export.ts"
import { residentAfter } from "../test/leaks.ts"

const times = Number(process.argv[2] ?? 50)
const { model, preprocessing } = variants["mobileclip2-s0"]
const folder = mkdtempSync(join(tmpdir(), "bench-leaks-"))
try {
  const info = { name: "generated-s0", license: "none", samplesSeen: 0, preprocessing }
  await exportModel(generatedClip(model), info, join(folder, "model"))
  const { first, last } = await residentAfter(join(folder, "model"), times)
  const [before, after] = [first, last].map((bytes) => Math.round(bytes / 2 ** 20))
  console.log(
    `${times} loads and disposals: ${after} MiB, ${before} MiB after the second ten (${(last / first).toFixed(3)})`,
  )
  process.exitCode = last <= 1.1 * first ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
