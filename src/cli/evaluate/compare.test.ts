import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { main } from "../main.ts"

const folder = mkdtempSync(join(tmpdir(), "mobileclip-cli-compare-"))
afterAll(() => rmSync(folder, { recursive: true }))

async function evaluate(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["evaluate", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err }
}

test("compare: a verdict, both averages, tasks with differences, and what an answer is worth", async () => {
  const html = join(folder, "new", "compare.html")
  const { code, out, err } = await evaluate("compare", "MobileCLIP-S1", "mobileclip2_s0", "--html", html)
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const lines = out.split("\n")
  expect(lines[0]).toBe("MobileCLIP2-S0 is 1.58 points below MobileCLIP-S1 on average over 38 tasks, more than chance.")
  expect(out).toMatch(/^Average of 38 +61\.25 +59\.67 +-1\.58 \(-2\.15 to -1\.22\) +0\.66$/m)
  expect(out).toMatch(/^Average of 38, FMoW without its region of four +61\.66 +59\.67 +-1\.98 /m)
  expect(out).toMatch(/^FMoW +0\.00 +9\.10 +~\+9\.10 .* 25$/m)
  expect(out).toMatch(/^urban1k +- +43\.65/m)
  expect(out).toContain(
    "note: MobileCLIP-S1 has no result of SugarCrepe Replace-obj and 9 others, which are in no average",
  )
  expect(readFileSync(html, "utf8")).toContain("61.66")
  expect(out.endsWith(`\n\npage: ${html}\n`)).toBe(true)
})

test("compare: many models have a row each, and the first its rank in each task", async () => {
  const { out } = await evaluate("compare", "MobileCLIP2-S0", "--published", "all", "--sort", "worth")
  expect(out).toMatch(/^MobileCLIP-S1 +72\.62 +60\.67 +61\.29 +60\.32 +61\.25 +61\.66 +\+1\.58 /m)
  expect(out.match(/^MobileCLIP2-S0 /gm)).toHaveLength(1)
  const tasks = out.split("\n\n")[2]!.split("\n")
  expect(tasks[1]).toMatch(/^FMoW +9\.10 +13\/14 +0\.00 +26\.42 +MobileCLIP-L-14 /)
})

test("compare --json: everything, 0 to 1", async () => {
  const { out } = await evaluate("compare", "--published", "MobileCLIP-S1", "--published", "MobileCLIP-S0", "--json")
  const { averages, tasks, models } = JSON.parse(out)
  expect(models.map(({ name }: { name: string }) => name)).toEqual(["MobileCLIP-S1", "MobileCLIP-S0"])
  const official = averages.find(({ name }: { name: string }) => name === "Average of 38")
  expect(official.scores["MobileCLIP-S1"].value).toBeCloseTo(0.612541, 6)
  expect(official.worth.most).toBeCloseTo(0.25 / 38, 12)
  expect(tasks).toHaveLength(38)
  expect(tasks[0]).toMatchObject({ key: "vtab/caltech101", differences: { "MobileCLIP-S0": { isChance: true } } })
})

test("compare: what is missing or wrong is one line", async () => {
  expect((await evaluate("compare")).err).toContain("nothing to compare")
  const unknown = await evaluate("compare", "--published", "MobileCLIP2-S1")
  expect(unknown.err).toMatch(/no results were published of "MobileCLIP2-S1"\n.*did you mean MobileCLIP/)
  const latency = join(folder, "latency.json")
  writeFileSync(latency, "{}")
  const html = join(folder, "never.html")
  const wrong = await evaluate("compare", "MobileCLIP-S1", "--html", html, "--latency", latency)
  expect(wrong.err).toContain("is not a result of `mobileclip bench --json`")
  expect([wrong.code, existsSync(html)]).toEqual([1, false])
})

/** Evaluated every 200 samples, of 10 a step and a second each. */
function writeRun(name: string, scores: readonly number[]): string {
  const run = join(folder, name)
  mkdirSync(run)
  const lines = scores.flatMap((score, i) => {
    const at = { step: 20 * (i + 1), samplesSeen: 200 * (i + 1) }
    return [
      { ...at, losses: { contrastive: 1 }, gradNorm: 1, seconds: 1 },
      { ...at, tasks: { cifar10: score }, average: score },
    ]
  })
  writeFileSync(join(run, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  return run
}

test("curve: sides, the verdict and ratios; a page", async () => {
  const runs = [writeRun("plain-0", [0.3, 0.5]), writeRun("reinforced-0", [0.5, 0.6])]
  const html = join(folder, "curve.html")
  const { code, out, err } = await evaluate("curve", ...runs, "--html", html)
  expect({ code, err }).toEqual({ code: 0, err: "" })
  // Guessing gives 0.1: 0.46 after 360 samples and after 180.
  expect(out).toContain("For 90% of plain's gain over guessing, plain needs 2.0 times the samples of reinforced.")
  expect(out).toMatch(/^90% of its gain +2\.0 +2\.0$/m)
  expect(out).toContain("plain is not on a plateau: it improves to its end.")
  expect(out).toContain("One run a side")
  expect(out).toContain("guessing gives 10.0% in cifar10")
  expect(out.endsWith(`\n\npage: ${html}\n`)).toBe(true)
  expect(readFileSync(html, "utf8")).toContain("2.0x")
  expect((await evaluate("curve")).err).toContain("no runs to compare")
  expect(JSON.parse((await evaluate("curve", ...runs, "--json")).out).comparisons[0].weaker).toBe("plain")
})
