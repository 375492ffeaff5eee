/** The proof on a GPU, run on the processor with tiny models: that every part works, and what becomes of one that does not. */
import { execFile } from "node:child_process"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { type Part, partsOf } from "../bench/cuda/parts.ts"
import { type PartReport, runParts } from "../bench/cuda/run-parts.ts"

const folder = mkdtempSync(join(tmpdir(), "cuda-proof-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** In place of Python with open_clip. */
function program(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return path
}

const options = { device: "cpu", tiny: true, golden: "test/golden", python: "python3" } as const

test("all parts together have less than ten minutes", () => {
  for (const tiny of [true, false]) {
    const parts = partsOf({ ...options, tiny })
    expect(parts.reduce((sum, { seconds }) => sum + seconds, 0)).toBeLessThanOrEqual(580)
    expect(new Set(parts.map(({ name }) => name)).size).toBe(parts.length)
  }
})

test("every part runs on the processor, and each result is a number with its verdict", async () => {
  const out = join(folder, "all.json")
  const python = program("python", "echo '{\"imagesPerSecond\": 1e-6}'")
  const args = ["dist/bench/cuda-proof.js", "--device", "cpu", "--tiny", "--json", "--python", python, "--out", out]
  const printed = await new Promise<string>((resolve) => {
    // A tiny model reaches no share of a peak: the exit code is 1.
    execFile(process.execPath, args, { encoding: "utf8" }, (_, text) => resolve(text))
  })
  const { reports } = JSON.parse(printed) as { reports: readonly PartReport[] }
  expect(reports.map(({ part }) => part)).toEqual(partsOf(options).map(({ name }) => name))
  for (const { part, failure, results } of reports) {
    expect(failure, part).toBeUndefined()
    for (const { what, value } of results) expect(value, `${part}: ${what}`).toBeTypeOf("number")
  }
  const verdicts = (name: string) => reports.find(({ part }) => part === name)!.results.map((r) => r.isReached)
  expect(verdicts("golden data")).toEqual([true])
  expect(verdicts("B, plain")).toEqual([undefined, true])
  expect(verdicts("B, plain, as a graph").at(-1)).toBe(true)
  expect(verdicts("AdamW, B").at(-1)).toBe(true)
  expect(JSON.parse(readFileSync(out, "utf8")).reports).toEqual(reports)
})

test("a part that fails or takes too long is named, and what comes after it runs and knows what came before", async () => {
  const part = (name: string, seconds: number, text: string, read: Part["read"] = () => []): Part => {
    return { name, seconds, program: program(name, text), args: [], read }
  }
  const written: number[] = []
  const reports = await runParts(
    [
      part("good", 10, "echo '{\"a\": 3}'"),
      part("broken", 10, "echo no such thing >&2; exit 3"),
      part("late", 0.2, "exec sleep 30"),
      part("silent", 10, "true", () => {
        throw new Error("it printed no result")
      }),
      part("last", 10, "true", (_, before) => [
        { what: "a", value: before.get("good")!.a as number, goal: { atLeast: 4 } },
        { what: "b", value: "good did not run", goal: { atMost: 1 } },
      ]),
    ],
    60,
    async (soFar) => void written.push(soFar.length),
  )
  const failures = [undefined, "no such thing", "it was ended after 0 seconds", "it printed no result", undefined]
  expect(reports.map(({ failure }) => failure)).toEqual(failures)
  expect(reports.at(-1)!.results.map((result) => result.isReached)).toEqual([false, false])
  expect(written).toEqual([1, 2, 3, 4, 5])
})

test("the time of all parts together ends what is late", async () => {
  const late: Part = {
    name: "late",
    seconds: 100,
    program: program("sleep", "exec sleep 30"),
    args: [],
    read: () => [],
  }
  const [report] = await runParts([late], 0.3, async () => {})
  expect(report!.failure).toMatch(/^it was ended after/)
})
