import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { afterEach, beforeEach, expect, test } from "vitest"
import { workerFile } from "../worker-file.ts"
import { beat, type HeartbeatSettings, secondsSinceBeat } from "./heartbeat.ts"

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "heartbeat-"))
  path = join(folder, "lock")
  writeFileSync(path, "mine")
  silence()
})
afterEach(() => rmSync(folder, { recursive: true }))

function silence(): void {
  const before = new Date(Date.now() - 3_600_000)
  utimesSync(path, before, before)
}

const age = () => Date.now() - statSync(path).mtimeMs

test("a beat renews the time of the holder's own file and does not change its content", () => {
  beat(new Map([["mine", path]]))
  expect(age()).toBeLessThan(60_000)
  expect(readFileSync(path, "utf8")).toBe("mine")
})

test.each(["other", "mine too", "min", ""])("a file that says %j is another holder's", (text) => {
  writeFileSync(path, text)
  silence()
  beat(new Map([["mine", path]]))
  expect(age()).toBeGreaterThan(3_000_000)
  expect(readFileSync(path, "utf8")).toBe(text)
})

test("a link is not followed, and what is gone is passed over", () => {
  const link = join(folder, "link")
  symlinkSync(path, link)
  beat(
    new Map([
      ["mine", link],
      ["gone", join(folder, "gone")],
    ]),
  )
  expect(age()).toBeGreaterThan(3_000_000)
  expect(readdirSync(folder).sort()).toEqual(["link", "lock"])
})

test("the thread beats while the main thread is blocked", async () => {
  const workerData: HeartbeatSettings = { seconds: 0.05 }
  const worker = new Worker(workerFile(import.meta.url, "heartbeat-worker"), { workerData })
  try {
    worker.postMessage(new Map([["mine", path]]))
    await expect.poll(age, { timeout: 20_000 }).toBeLessThan(60_000)
    silence()
    const still = new Int32Array(new SharedArrayBuffer(4))
    for (let looks = 0; looks < 2000 && age() > 60_000; looks++) Atomics.wait(still, 0, 0, 10)
    expect(age()).toBeLessThan(60_000)
  } finally {
    await worker.terminate()
  }
})

test("silence is measured with a new file, which is removed again", async () => {
  const seconds = await secondsSinceBeat(path, statSync(path).mtimeMs)
  expect(Math.abs(seconds - 3600)).toBeLessThan(30)
  expect(readdirSync(folder)).toEqual(["lock"])
  expect(await secondsSinceBeat(join(folder, "none", "lock"), 0)).toBe(0)
})
