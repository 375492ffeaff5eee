/** Models so small that they are measured in seconds; the machine's speed is not asked for. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { FullDisk } from "../../../test/full-disk.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { bench } from "./bench.ts"
import { latencyPage } from "./latency-page.ts"
import { type LatencyReport, type LatencyRow, modelLatencies, parseLatencyReport } from "./latency-report.ts"
import type { BenchOptions } from "./options.ts"

const folder = mkdtempSync(join(tmpdir(), "bench-"))
const own = join(folder, "own")
beforeAll(async () => {
  await exportModel(tinyModel(), tinyInfo, own)
  vi.stubEnv("TMPDIR", folder)
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const settings = { turns: 2, mostTurns: 2, secondsPerTurn: 0.02, runsPerTurn: 4 }
const quick = (options: Partial<BenchOptions>) => bench({ models: ["quickstart"], threads: 1, settings, ...options })

test("a member and a model of one's own, by tower and batch: rows as they come, and the whole as JSON", async () => {
  const came: LatencyRow[] = []
  const plans: unknown[] = []
  const report = await quick({
    models: ["quickstart", own],
    batches: [1, 3],
    onRows: (rows) => came.push(...rows),
    onPlan: (plan) => plans.push(plan),
  })
  const keys = report.rows.map(({ model, tower, batch }) => `${model} ${tower} ${batch}`)
  expect(keys).toEqual([
    ...["quickstart image 1", "quickstart image 3", "quickstart text 1", "quickstart text 3"],
    ...["tiny image 1", "tiny image 3", "tiny text 1", "tiny text 3"],
  ])
  expect(new Set(came)).toEqual(new Set(report.rows))
  const [image] = report.rows
  expect(image).toMatchObject({
    architecture: "quickstart",
    runtime: "onnxruntime",
    device: "cpu",
    dtype: "fp32",
    threads: 1,
  })
  expect(image!.parameters).toBe(257_424)
  // 257,424 values of the image tower and 6,747,264 of the text tower, of four bytes each.
  expect(plans).toMatchObject([{ rows: 8, diskBytes: 4 * (257_424 + report.rows[2]!.parameters!) }])
  for (const row of report.rows) {
    expect(row.perSecond).toBeCloseTo((1000 * row.batch) / row.medianMs, 9)
    expect(row.p95Ms).toBeGreaterThanOrEqual(row.medianMs)
    expect(row.coldStartMs!).toBeGreaterThan(row.medianMs)
    expect(row.peakMemoryMb!).toBeGreaterThan(30)
    if (row.macs === null) expect([row.model, row.shareOfPeak, row.parameters]).toEqual(["tiny", null, null])
    else expect(row.shareOfPeak).toBeCloseTo((2 * row.macs * row.batch) / 1e6 / row.medianMs / row.peakGflops, 9)
  }
  expect(parseLatencyReport(JSON.parse(JSON.stringify(report)), "latency.json")).toEqual(report)
  expect(readdirSync(folder)).toEqual(["own"])
})

test("both types of weights, and bf16 on libtorch alone", async () => {
  const said: string[] = []
  const { rows, notes } = await quick({ towers: ["image"], dtypes: ["fp32", "fp16"], say: (line) => said.push(line) })
  expect(rows.map(({ dtype }) => dtype)).toEqual(["fp32", "fp16"])
  expect(notes).toEqual(said)
  if (process.arch === "x64") expect(notes).toEqual([expect.stringMatching(/^fp16 on cpu: .* converts to float32/)])
  await expect(quick({ dtypes: ["bf16"] })).rejects.toThrow("bf16 is a type of libtorch's")
})

test("what does not run here is left out with the reason; where nothing is left, that is an error", async () => {
  const { rows, notes } = await quick({ towers: ["image"], devices: ["cpu", "coreml"] })
  if (process.platform === "darwin") return
  expect(rows.map(({ device }) => device)).toEqual(["cpu"])
  expect(notes).toEqual([expect.stringMatching(/^fp32 on coreml is left out, because it does not run here: /)])
  await expect(quick({ devices: ["coreml"] })).rejects.toThrow("nothing of what is to be measured runs on this machine")
})

test("on libtorch: the same towers without files, and without the cost of a process", async () => {
  const { rows, options } = await quick({ runtime: "libtorch", towers: ["image"] })
  expect(options.runtime).toBe("libtorch")
  expect(rows).toMatchObject([{ runtime: "libtorch", tower: "image", coldStartMs: null, peakMemoryMb: null }])
  await expect(quick({ models: [own], runtime: "libtorch" })).rejects.toThrow("which libtorch does not run")
})

test("a signal ends it, and the generated towers are gone", async () => {
  const controller = new AbortController()
  const ended = quick({ onPlan: () => controller.abort(), signal: controller.signal })
  await expect(ended).rejects.toMatchObject({ name: "AbortError" })
  expect(readdirSync(folder)).toEqual(["own"])
})

// ---------------------------------------------------------------------------------------------------- what is written

const row = (model: string, tower: "image" | "text", medianMs: number, more: Partial<LatencyRow> = {}): LatencyRow => ({
  ...{ model, tower, architecture: `${model}-${tower}`, runtime: "onnxruntime", device: "cpu", dtype: "fp32" },
  ...{ batch: 1, threads: 2, medianMs, p95Ms: medianMs, firstRunMs: medianMs, runs: 9, isStable: true },
  ...{ perSecond: 1000 / medianMs, shareOfPeak: 0.5, peakGflops: 100, driftPercent: 0, peakMemoryMb: 99 },
  ...{ coldStartMs: 500, parameters: 1, macs: 1 },
  ...more,
})

const written = (rows: readonly LatencyRow[]): LatencyReport => ({
  ...{ format: "mobileclip-latency", version: 1, peakGflops: 100, rows: [...rows], notes: ["a <note>"] },
  machine: { cpu: "a <processor>", cores: 2, memoryGB: 24, os: "Linux", node: "20" },
  options: {
    runtime: "onnxruntime-node 1",
    threads: 2,
    devices: ["cpu"],
    dtypes: ["fp32"],
    batches: [1],
    quick: false,
  },
})

test("a model's latency is that of one picture and one text, in the first device and type", () => {
  const rows = [
    ...[row("a", "image", 80, { batch: 8 }), row("a", "image", 10), row("a", "image", 5, { dtype: "fp16" })],
    ...[row("a", "text", 3, { dtype: "fp16" }), row("a", "text", 4), row("b", "image", 1)],
  ]
  expect(modelLatencies({ rows }).map(({ model, latencyMs }) => [model, latencyMs])).toEqual([["a", 14]])
})

test("what is not a result is refused with the place", () => {
  const report = written([row("a", "image", 1)])
  expect(() => parseLatencyReport({ ...report, version: 2 }, "x.json")).toThrow(
    /^x\.json is not a result .*: version: /,
  )
  const broken = { ...report, rows: [{ ...report.rows[0], medianMs: -1 }] }
  expect(() => parseLatencyReport(broken, "x.json")).toThrow(/: rows\.0\.medianMs: /)
})

test("the page: accuracy over latency here and on the phone, and what is foreign stays text", async () => {
  const models = ["mobileclip-s0", "mobileclip2-s2", "vit-b-16"]
  const rows = models.flatMap((model, i) => [row(model, "image", 10 * (i + 1)), row(model, "text", 2)])
  const page = await latencyPage(written(rows))
  expect(page.match(/<figure/g)).toHaveLength(4)
  for (const text of [
    ">S0<",
    ">S2<",
    ">ViT-B/16<",
    "MobileCLIP2-S2",
    "CLIP, OpenAI",
    "CLIP, LAION-2B",
    "iPhone 12 Pro Max",
  ]) {
    expect(page).toContain(text)
  }
  // MobileCLIP-S0: 10 + 2 ms here, 1.5 + 1.6 ms on the phone.
  expect(page).toMatch(
    /MobileCLIP-S0<\/th><td>0<\/td><td>10\.0<\/td><td>2\.00<\/td><td>12\.0<\/td><td>3\.1<\/td><td>58\.1</,
  )
  expect(page).toContain("a &#60;note&#62;")
  expect(page).not.toContain("<processor>")
  expect(page).not.toContain("this machine had other work")
  const towersAlone = await latencyPage(written([row("own", "image", 10, { driftPercent: -31.2 })]))
  expect(towersAlone).toContain("changed by up to 31% within a row: this machine had other work")
  expect(towersAlone).not.toContain("<figure")
  expect(towersAlone).toContain("own-image")
})

test("a full disk is named, and is not taken for a processor that cannot compute", async ({ skip }) => {
  using disk = FullDisk.mount(join(folder, "full"), 1)
  if (!disk) return skip("mounting takes root's rights")
  vi.stubEnv("TMPDIR", disk.path)
  try {
    const notes: string[] = []
    await expect(quick({ say: (line) => notes.push(line) })).rejects.toThrow(/^disk full while writing /)
    expect(notes).toEqual([])
    expect(readdirSync(disk.path)).toEqual(["full"])
  } finally {
    vi.stubEnv("TMPDIR", folder)
  }
})
