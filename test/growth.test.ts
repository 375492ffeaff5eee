/** bench/growth in its short form, and what it says of steps that grow too fast. */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, describe, expect, test } from "vitest"
import { ownDist } from "../bench/growth/compiled.ts"
import { type GrowthOptions, measureGrowth, type Series } from "../bench/growth/growth.ts"
import type { Figures, Outcome, Row, Size } from "../bench/growth/row.ts"
import { rows } from "../bench/growth/rows.ts"
import { growthText } from "../bench/growth/table.ts"
import { verdictOf } from "../bench/growth/verdict.ts"

const folder = mkdtempSync(join(tmpdir(), "growth-test-"))
afterAll(() => rmSync(folder, { recursive: true }))

const options: GrowthOptions = {
  ...{ form: "short", builds: { now: ownDist }, folder: join(folder, "inputs"), limitSeconds: 300, say() {} },
}

test("no row's time grows faster than its work, and none keeps more than its bound", { timeout: 600_000 }, async () => {
  const series = await measureGrowth(rows, options)
  const problems = series.flatMap((each) => {
    const row = rows.find(({ name }) => name === each.row)!
    return verdictOf(row, each, "short").problems.map((problem) => `${each.row}, ${each.phase}: ${problem}`)
  })
  expect(problems, growthText(rows, series, ["now"], "short")).toEqual([])
  expect(series).toHaveLength(rows.reduce((sum, { phases }) => sum + phases.length, 0))
  for (const { row, phase, outcomes } of series) {
    expect(
      outcomes.map(({ kind }) => kind),
      `${row}, ${phase}`,
    ).toEqual(["measured", "measured"])
  }
})

/** A row of which each unit looks at all others, and keeps 4 kB. */
function quadratic(short: readonly Size[], bytes = 0): Row {
  return {
    ...{ name: "quadratic", title: "looks at all others", unit: "unit", measure: "quadratic", phases: ["first"] },
    ...{ sizes: { short, full: short }, warmUp: size(10), bound: { bytes, why: "nothing is kept" } },
  }
}

function size(units: number, given: Size["given"] = {}): Size {
  return { units, given: { units, ...given } }
}

async function measuredAlone(row: Row, changes: Partial<GrowthOptions> = {}): Promise<Series> {
  const [series] = await measureGrowth([row], { ...options, ...changes })
  return series!
}

describe("a row that is measured", () => {
  test("fails where its step is quadratic, and keeps more than its bound", async () => {
    // Its loop is compiled before the smaller size, of which that would be a good part.
    const row = { ...quadratic([size(10_000), size(50_000)]), warmUp: size(1000) }
    const { exponents, bytesAUnit, problems } = verdictOf(row, await measuredAlone(row), "short")
    expect(exponents[0]!.value).toBeGreaterThan(1.6)
    expect(exponents[0]!.value).toBeLessThan(2.4)
    expect(bytesAUnit).toBeGreaterThan(3000)
    expect(problems).toEqual(["time grows faster", "memory over its bound"])
  })

  test("says what failed, and does not try what is larger", async () => {
    const row = quadratic([size(10, { fails: 1 }), size(20)])
    const series = await measuredAlone(row)
    const failed: Outcome = { kind: "failed", message: "it was asked to fail" }
    expect(series.outcomes).toEqual([failed, failed])
    expect(verdictOf(row, series, "short").problems).toEqual([failed.message])
  })

  test("is ended when it takes longer than its limit", async () => {
    // Starting a process takes seconds where many others run.
    const limitSeconds = 10
    const row = quadratic([size(20), size(200, { waits: 1 })])
    const series = await measuredAlone(row, { limitSeconds })
    expect(series.outcomes.map(({ kind }) => kind)).toEqual(["measured", "over"])
    expect(verdictOf(row, series, "short").problems).toContain("not done in 10 s")
  })

  test("is not there in a build that lacks it, which is no fault", async () => {
    const empty = join(folder, "empty")
    mkdirSync(empty)
    const row = rows.find(({ name }) => name === "plan")!
    const series = await measuredAlone(row, { builds: { before: empty } })
    expect(series.outcomes.map(({ kind }) => kind)).toEqual(["not there", "not there"])
    expect(verdictOf(row, series, "short").problems).toEqual([])
  })
})

/** What took so many seconds and bytes. */
function measured(seconds: number, bytes = 0): Outcome & Figures {
  return { kind: "measured", seconds, processorSeconds: seconds, bytes, stallSeconds: 0 }
}

function seriesOf(...outcomes: readonly Outcome[]): Series {
  return { row: "quadratic", phase: "first", build: "now", outcomes }
}

describe("the verdict", () => {
  const row: Row = { ...quadratic([size(100), size(1000), size(10_000)], 100), warmUp: size(0) }

  test("exponents are of neighbouring sizes", () => {
    const { exponents, problems } = verdictOf(row, seriesOf(measured(1), measured(10), measured(1000)), "full")
    expect(exponents.map((exponent) => exponent!.value)).toEqual([expect.closeTo(1), expect.closeTo(2)])
    expect(problems).toEqual(["time grows faster"])
  })

  test("1.1 passes at full sizes, and what is more does not; short sizes have room for noise", () => {
    const grown = (exponent: number) => seriesOf(measured(1), measured(10 ** exponent), measured(10 ** (2 * exponent)))
    expect(verdictOf(row, grown(1.09), "full").problems).toEqual([])
    expect(verdictOf(row, grown(1.12), "full").problems).toEqual(["time grows faster"])
    expect(verdictOf(row, grown(1.4), "short").problems).toEqual([])
    expect(verdictOf(row, grown(1.6), "short").problems).toEqual(["time grows faster"])
  })

  test("a time that is too short to be told counts as 50 ms, and the exponent as a lower bound", () => {
    const { exponents } = verdictOf(row, seriesOf(measured(0.001), measured(0.01), measured(5)), "full")
    expect(exponents).toEqual([null, { value: expect.closeTo(2), atLeast: true }])
  })

  test("memory a unit is a slope: fixed memory and 64 MiB of rubbish do not count", () => {
    const kept = (bytes: number) => seriesOf(measured(1), measured(1, 3e8), measured(1, 3e8 + bytes))
    expect(verdictOf(row, kept(60e6), "full").problems).toEqual([])
    expect(verdictOf(row, kept(70e6), "full").problems).toEqual(["memory over its bound"])
    expect(verdictOf(row, kept(9e6), "full").bytesAUnit).toBeCloseTo(1000)
  })
})

describe("the command", () => {
  const command = join(ownDist, "bench", "growth.js")
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [command, ...args])
  const report = (seconds: number) => {
    const outcomes = [measured(0.1), measured(1), measured(seconds)]
    return { form: "full", builds: ["after"], series: [{ row: "order", phase: "first", build: "after", outcomes }] }
  }
  const written = (name: string, seconds: number) => {
    const path = join(folder, name)
    writeFileSync(path, JSON.stringify(report(seconds)))
    return path
  }

  test("shows builds side by side; its exit code is of the last one", async () => {
    const [slow, quick] = [written("slow.json", 100), written("quick.json", 10)]
    const { stdout } = await run("--from", `${slow},${quick}`)
    expect(stdout).toMatch(/before: s .* after: s /)
    expect(stdout).toMatch(/1,280,000,000 positions +100\.00 .* 2\.00 +10\.00 .* 1\.00$/m)
    expect(stdout).toMatch(/^order +before .* time grows faster$/m)
    expect(stdout).toMatch(/^order +after .* good$/m)
    expect(stdout).not.toMatch(/NaN|undefined|Infinity/)
    await expect(run("--from", `${quick},${slow}`)).rejects.toMatchObject({ code: 1 })
  })

  test("fails where the build that is judged lacks what a row measures", async () => {
    const empty = join(folder, "without")
    mkdirSync(empty)
    const alone = run("--sizes", "short", "--rows", "plan", "--dist", empty)
    await expect(alone).rejects.toMatchObject({ code: 1, stdout: expect.stringMatching(/^plan .* not there$/m) })
  })

  test("says where memory is over its bound by less than is told from rubbish", async () => {
    const path = join(folder, "little.json")
    const outcomes = [measured(0.1), measured(1), measured(10, 50e6)]
    const series = [{ row: "order", phase: "first", build: "after", outcomes }]
    writeFileSync(path, JSON.stringify({ form: "full", builds: ["after"], series }))
    const { stdout } = await run("--from", path)
    expect(stdout).toMatch(/^order +after +0\.0 +0\.0 +position +within 64 MiB$/m)
  })

  test("names what it does not know", async () => {
    await expect(run("--rows", "plans")).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("plan, ") })
    await expect(run("--sizes", "long")).rejects.toMatchObject({
      stderr: "growth: --sizes is long\n  give short or full\n",
    })
  })
})
