/** The estimates against runs: one that is made here, and those that were measured on a GPU (docs/log.md, "On a GPU"). */
import { spawn } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { pictureSamples, temporaryFolder, writeSamples } from "../../../test/training-samples.ts"
import { partCost } from "../../export/part-cost.ts"
import { buildModel, type CheckpointModel } from "../../model/checkpoint/checkpoint.ts"
import { applyOverrides, parseOverride } from "../recipe/overrides.ts"
import { defaultRecipe } from "../recipe/schema.ts"
import { type PlanContext, planContext, type TowerPlan, withChunk } from "./context.ts"
import { type GpuName, gpus, pairsPerSecond } from "./gpus.ts"
import { chunksOf, fewestRanks, fitsIn, largestChunk, memoryOf } from "./memory.ts"
import { planOf } from "./plan.ts"

const contextOf = (ranks: number, ...overrides: string[]) =>
  planContext(applyOverrides(defaultRecipe, overrides.map(parseOverride), "test"), ranks)

/** The allocator returns memory late, and a batch more or less waits in the loader: runs alike differ by 8 %. */
const tolerance = 0.15

test.skipIf(process.platform !== "linux")(
  "a run takes as much memory as its plan says (its peak is read from /proc, which other systems do not have)",
  { timeout: 120_000 },
  async () => {
    const folder = await temporaryFolder()
    // Texts of full length, because a batch is computed to its longest only.
    const samples = (await pictureSamples(64)).map((sample) => ({
      ...sample,
      texts: [Array(90).fill("star").join(" ")],
    }))
    const data = await writeSamples(join(folder, "data.tar"), samples)
    // A save before the last step: what it keeps and what a step holds are there at the same time.
    const keys = ["model=quickstart", "batch.size=64", "schedule.steps=4", "schedule.warmup=1", "save.every=1"]
    const run = ["--train-data", data, "--out", join(folder, "run"), "--threads", "1", "--progress", "none"]
    const peak = await peakOf(["bin/mobileclip.js", "train", ...run, ...keys])
    rmSync(folder, { recursive: true })
    const { total } = memoryOf(contextOf(1, ...keys), "cpu")
    expect(total / peak).toBeGreaterThan(1 - tolerance)
    expect(total / peak).toBeLessThan(1 + tolerance)
  },
)

/** The largest resident size of a process of Node in bytes. */
async function peakOf(argv: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, argv, { stdio: "ignore" })
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, residentPeak(child.pid!))
  }, 20)
  expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0)
  clearInterval(timer)
  return peak
}

/** 0 where the process has ended. */
function residentPeak(pid: number): number {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

test("saves keep one copy of weights, moments and average on the machine, none on a GPU", () => {
  const bytes = (...keys: string[]) => memoryOf(contextOf(1, "model=quickstart", ...keys), "cpu")
  const plain = bytes()
  expect(plain.saving).toBe(3 * plain.weights)
  const averaged = bytes("ema.decay=0.9")
  expect(averaged.saving).toBe(4 * averaged.weights)
  const locked = bytes('lock=["text"]', "start=weights.safetensors")
  expect(locked.saving).toBe(locked.weights + 2 * locked.gradients)
  expect(locked.saving).toBeLessThan(2 * plain.weights)
  expect(memoryOf(contextOf(1, "model=quickstart"), "gpu").saving).toBe(0)
})

const chunked = ["batch.size=1024", "batch.chunk=256", "precision=amp_bf16"]
const distilled = ["loss.kind=distill", "data.reinforced=true", "loss.teacherScales=[100,100]"]

/** On one H200: GiB at the peak, pairs a second. */
const measured = [
  ["MobileCLIP2-B", ["model=mobileclip2-b"], 24.7, 1528],
  ["MobileCLIP2-B, reinforced", ["model=mobileclip2-b", ...distilled], 29.7, 1436],
  ["MobileCLIP2-S2", ["model=mobileclip2-s2"], 58.1, 471],
  ["MobileCLIP2-S2, reinforced", ["model=mobileclip2-s2", ...distilled], 62.6, 454],
] as const

test.each(measured)(
  "memory (within 5 percent) and rate (within 8) as measured on an H200: %s",
  (_, keys, gibibytes, rate) => {
    const context = withWholeBlocks(contextOf(1, ...keys, ...chunked))
    expect(Math.abs(memoryOf(context, "gpu").total / 2 ** 30 / gibibytes - 1)).toBeLessThan(0.05)
    expect(Math.abs(pairsPerSecond(context, gpus.h200) / rate - 1)).toBeLessThan(0.08)
  },
)

/** The build that was measured computed all rows of transformers' last blocks: as much as in the blocks before them. */
function withWholeBlocks(context: PlanContext): PlanContext {
  const { image, text } = context.towers
  const model = buildModel(context.config)
  const [ofImage, ofText] = [unreadRows(model, "image"), unreadRows(model, "text")]
  return { ...context, towers: { image: plus(image, ofImage), text: plus(text, ofText) } }
}

type Work = Pick<TowerPlan, "multiplyAdds" | "activationBytes">

/** By how much a transformer's last block costs less than the one before it; nothing where a tower is not a transformer. */
function unreadRows(model: CheckpointModel, part: "image" | "text"): Work {
  const blocks = new Map<string, Work>()
  for (const { path, multiplyAdds, attentionMultiplyAdds, activationBytes } of partCost(model, part).layers) {
    const [block] = /^(?:image|text)\.blocks\.\d+/.exec(path) ?? []
    const work = { multiplyAdds: multiplyAdds + attentionMultiplyAdds, activationBytes }
    if (block) blocks.set(block, plus(blocks.get(block) ?? nothing, work))
  }
  const [last = nothing, before = nothing] = [...blocks.values()].reverse()
  return plus(before, last, -1)
}

const nothing: Work = { multiplyAdds: 0, activationBytes: 0 }

function plus<T extends Work>(work: T, { multiplyAdds, activationBytes }: Work, sign: 1 | -1 = 1): T {
  return {
    ...work,
    multiplyAdds: work.multiplyAdds + sign * multiplyAdds,
    activationBytes: work.activationBytes + sign * activationBytes,
  }
}

test("a slower memory slows convolutions, a slower multiplier transformers; float32 takes twice as long", () => {
  const rate = (gpu: GpuName, ...keys: string[]) => pairsPerSecond(contextOf(1, "batch.size=64", ...keys), gpus[gpu])
  const b = ["model=mobileclip2-b", "precision=amp_bf16"]
  // An H100 multiplies as fast as an H200, and reads its memory at 3.35 of 4.8 TB/s.
  expect(rate("h100", ...b)).toBe(rate("h200", ...b))
  expect(rate("a100", ...b) / rate("h100", ...b)).toBeCloseTo(312 / 989)
  const s2 = rate("h100", "model=mobileclip2-s2", "precision=amp_bf16") / rate("h200", "model=mobileclip2-s2", "precision=amp_bf16") // biome-ignore format: a quotient
  expect(s2).toBeGreaterThan(3.35 / 4.8)
  expect(s2).toBeLessThan(3.35 / 4.8 + 0.03)
  expect(rate("h200", "model=mobileclip2-b") / rate("h200", ...b)).toBeCloseTo(494 / 989)
})

test("the largest chunk fits, the next one does not, and more ranks are found where all pairs are to fit", () => {
  const context = contextOf(2, "model=mobileclip2-b", "batch.size=4096", "precision=amp_bf16")
  expect(chunksOf(context).slice(0, 3)).toEqual([2048, 1024, 512])
  expect(chunksOf(contextOf(1, "batch.size=96"))).toEqual([96, 64, 32, 16, 8, 4, 2, 1])
  expect(chunksOf(contextOf(1, "batch.size=2"))).toEqual([2, 1])
  const room = { bytes: gpus["a100-40gb"].memoryBytes, place: "gpu" } as const
  const chunk = largestChunk(context, room)!
  expect(fitsIn(withChunk(context, chunk), room)).toBe(true)
  expect(fitsIn(withChunk(context, 2 * chunk), room)).toBe(false)
  expect(fitsIn(context, room)).toBe(false)
  const ranks = fewestRanks(context, 2, room)!
  expect(ranks).toBe((2 * 2048) / chunk)
  const least = memoryOf(withChunk(context, 1), "gpu").total
  expect(largestChunk(context, { bytes: least, place: "gpu" })).toBeNull()
})

test("a plan for a GPU that is named says what fits there; hours do not depend on the number of GPUs", () => {
  const keys = ["model=mobileclip2-b", "batch.size=4096", "precision=amp_bf16", "schedule.steps=1000"]
  const recipe = applyOverrides(defaultRecipe, keys.map(parseOverride), "test")
  const plans = [8, 16].map((ranks) => planOf(recipe, { samples: 1e6, ranks, gpu: "h100" }))
  for (const { fit, hardware, ranks } of plans) {
    expect(fit).toMatchObject({ gpu: "h100", fits: true, largestChunk: 4096 / ranks, fewestRanks: null })
    expect(hardware).toHaveLength(1)
    expect(hardware[0]!.seconds * ranks).toBeCloseTo(3600 * hardware[0]!.gpuHours)
  }
  expect(plans[0]!.hardware[0]!.gpuHours).toBeCloseTo(plans[1]!.hardware[0]!.gpuHours)
  const one = planOf(recipe, { samples: 1e6, ranks: 1, gpu: "a100-40gb" })
  expect(one.fit).toMatchObject({ fits: false, fewestRanks: 16 })
  expect(one.fit!.largestChunkBytes).toBeLessThanOrEqual(0.9 * one.fit!.bytes)
  expect(one.chunks.find(({ fits }) => fits)!.chunk).toBe(one.fit!.largestChunk)
})
