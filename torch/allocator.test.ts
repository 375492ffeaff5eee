import { execFile } from "node:child_process"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Worker } from "node:worker_threads"
import { beforeEach, describe, expect, test } from "vitest"
import { Random } from "../src/core/arrays/random.ts"
import { builtAddon } from "../src/native/addon.ts"
import * as torch from "./index.ts"
import { torchAddon } from "./paths.ts"

const run = promisify(execFile)

const MiB = 2 ** 20
/** Beside the bound of the arena: pages of 2 MiB around blocks that other tests of the process hold. */
const slack = 24 * MiB

/** Written, so that it has memory. */
const filled = (mebibytes: number, value = 1) => torch.full([(mebibytes * MiB) / 4], value)

const valuesOf = (tensor: torch.Tensor) => new Set(tensor.data() as Float32Array)

/** Elsewhere there is no arena: `kept` is 0, and blocks are malloc's. */
describe.runIf(process.platform === "linux")("memory on the processor is kept", () => {
  beforeEach(() => {
    torch.releaseMemory()
  })

  test("for the next tensors, which then cost no page faults", () => {
    const rounds = (count: number) => {
      for (let i = 0; i < count; i++) filled(32).free()
    }
    rounds(2)
    const before = process.resourceUsage().minorPageFault
    rounds(50)
    // By huge pages alone, without reuse: 16 a tensor, 800.
    expect(process.resourceUsage().minorPageFault - before).toBeLessThan(200)
  })

  test("in blocks that do not overlap", () => {
    const tensors = Array.from({ length: 40 }, (_, i) => filled((1 + (i % 5) / 4) / 8, i))
    for (let i = 0; i < 40; i += 2) tensors[i]!.free()
    const others = Array.from({ length: 30 }, (_, i) => filled((0.5 + (i % 3) / 8) / 8, 100 + i))
    for (let i = 1; i < 40; i += 2) expect(valuesOf(tensors[i]!)).toEqual(new Set([i]))
    others.forEach((tensor, i) => {
      expect(valuesOf(tensor)).toEqual(new Set([100 + i]))
    })
    for (const tensor of [...tensors, ...others]) tensor.free()
  })

  test("for tensors of just the same size, between others that live", () => {
    const tensors = Array.from({ length: 80 }, (_, i) => filled(i % 2 === 0 ? 1 : 1 / 8))
    for (let i = 0; i < 80; i += 2) tensors[i]!.free()
    expect(torch.memory().kept).toBeGreaterThan(40 * MiB)
    for (let i = 0; i < 80; i += 2) tensors[i] = filled(1)
    // Only what the pages have around the blocks. It was 40 MiB where the new ones got places of their own.
    expect(torch.memory().kept).toBeLessThan(4 * MiB)
    for (const tensor of tensors) tensor.free()
  })

  test("until it is released: the process is smaller then", () => {
    filled(128).free()
    expect(torch.memory().kept).toBeGreaterThan(128 * MiB)
    const before = process.memoryUsage.rss()
    expect(torch.releaseMemory()).toBeGreaterThanOrEqual(126 * MiB)
    expect(before - process.memoryUsage.rss()).toBeGreaterThan(100 * MiB)
    expect(torch.memory().kept).toBeLessThan(slack)
  })

  test("at most as much as was live at once, in steps of changing shapes", () => {
    const random = new Random(1)
    let live = 0
    let peak = 0
    let largest = 0
    for (let step = 0; step < 100; step++) {
      const sizes = Array.from({ length: 12 }, () => 1 + random.int(64) / 16)
      const tensors = sizes.map((size) => filled(size))
      live = sizes.reduce((a, b) => a + b) * MiB
      peak = Math.max(peak, live)
      largest = Math.max(largest, torch.memory().kept + live)
      for (const index of sizes.keys()) tensors[(index * 5) % 12]!.free()
      largest = Math.max(largest, torch.memory().kept)
    }
    expect(largest).toBeLessThan((peak * 17) / 16 + slack)
  })

  test("not for long after a phase that needed much more", { timeout: 60_000 }, async () => {
    filled(128).free()
    for (let seconds = 0; torch.memory().kept > slack && seconds < 30; seconds++) {
      filled(1).free()
      await sleep(1000)
    }
    expect(torch.memory().kept).toBeLessThan(slack)
  })

  test("not counted as live", () => {
    const before = torch.memory().liveBytes
    const tensor = filled(8)
    expect(torch.memory().liveBytes - before).toBe(8 * MiB)
    tensor.free()
    expect(torch.memory().liveBytes).toBe(before)
  })

  test("a tensor that no machine holds is an error that names its bytes, and the next ones are as before", () => {
    for (const bytes of [2 ** 42, 2 ** 50]) expect(() => torch.empty([bytes / 4])).toThrow(`allocate ${bytes} bytes`)
    const tensor = filled(4, 7)
    expect(valuesOf(tensor)).toEqual(new Set([7]))
    tensor.free()
  })

  test.each([
    ["addresses", "-v", 4_000_000],
    ["writable memory", "-d", 2_000_000],
  ])("after a limit of %s was reached, what is freed is there for all", async (_what, flag, kibibytes) => {
    const command = `ulimit ${flag} ${kibibytes}; exec "$0" -e "$1" "$2"`
    const { stdout } = await run("sh", ["-c", command, process.execPath, fill, builtAddon(torchAddon)!.file])
    expect(stdout).toBe("allocate 100000000 bytes, then 100000000 values\n")
  })

  test("threads of their own environments share it, and outlive each other", { timeout: 60_000 }, async () => {
    const workers = [1, 2, 3].map(
      (seed) => new Worker(work, { eval: true, workerData: { file: builtAddon(torchAddon)!.file, seed } }),
    )
    const ends = workers.map((worker) => once(worker, "exit"))
    const random = new Random(9)
    for (let i = 0; i < 60; i++) {
      const tensor = filled((1 + random.int(16)) / 16, i)
      expect((tensor.data() as Float32Array).every((value) => value === i)).toBe(true)
      tensor.free()
      if (i % 20 === 0) torch.releaseMemory()
      await sleep(0)
    }
    expect((await Promise.all(ends)).map(([code]) => code)).toEqual([0, 0, 0])
    filled(4).free()
  })
})

/** 120 tensors, eight at a time, each filled with a number of its own; the last eight are left to the end of the thread. */
const work = `
  const { workerData: { file, seed } } = require("node:worker_threads")
  const addon = require(file)
  const key = Symbol()
  addon.setTensorClass(class { constructor(handle) { this[key] = handle } }, key)
  const ring = []
  for (let i = 0; i < 120; i++) {
    const values = new Float32Array(10_000 + ((i * 7919 * seed) % 200_000)).fill(1000 * seed + i)
    const slot = i % 8
    if (ring[slot]) {
      const expected = 1000 * seed + i - 8
      if (!addon.toData(ring[slot]).every((value) => value === expected)) throw new Error("overwritten")
      addon.free(ring[slot])
    }
    ring[slot] = addon.fromData(values, [values.length], "float32", false)
  }
`

/** Tensors until there is no room for one more; without them there is room for an array of JavaScript's. */
const fill = `
  const addon = require(process.argv[1])
  const key = Symbol()
  addon.setTensorClass(class { constructor(handle) { this[key] = handle } }, key)
  const values = new Float32Array(25_000_000)
  const tensors = []
  let message = ""
  while (!message) {
    try {
      tensors.push(addon.fromData(values, [values.length], "float32", false))
    } catch (error) {
      message = error.message
    }
  }
  for (const tensor of tensors) addon.free(tensor)
  const length = new Float32Array(100_000_000).length
  console.log(/allocate \\d+ bytes/.exec(message)[0] + ", then " + length + " values")
`
