import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { ended, errorsOf, startProgram } from "../../../test/program.ts"
import { parseLatencyReport } from "../../benchmark/latency/index.ts"
import { main } from "../main.ts"

const folder = mkdtempSync(join(tmpdir(), "bench-command-"))
afterAll(() => rmSync(folder, { recursive: true }))

async function bench(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["bench", ...argv], undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const one = ["--model", "quickstart", "--tower", "image", "--quick", "--seconds", "0.05", "--threads", "1"]

test("help: options with their choices, examples, what the columns mean", async () => {
  const { code, out } = await bench("--help")
  expect(code).toBe(0)
  for (const text of [
    ...["--family", "17 models", "--device <list>", "cpu, cuda, coreml, dml, webgpu", "--runtime <name>"],
    ...["mobileclip bench --family --html latency.html", "mobileclip bench --family --json > latency.json"],
    ...["median, p95   milliseconds of a run of the whole batch", "drift         change of that product's rate"],
  ]) {
    expect(out.replaceAll(/\s+/g, " ")).toContain(text.replaceAll(/\s+/g, " "))
  }
})

test("wrong usage is told in a line", async () => {
  for (const [argv, line] of [
    [[], "give --family, --quick, or --model with a name or a path"],
    [["--quick", "--batch", "1,zero"], "expected a whole number from 1 to 65536"],
    [["--quick", "--dtype", "int8"], '"int8" is not among fp32, fp16, bf16'],
    [["--quick", "--tower", "image,"], '"" is not among image, text'],
  ] as const) {
    const { code, out, err } = await bench(...argv)
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toContain(line)
  }
  expect(await bench("--quick", "--html", folder)).toMatchObject({
    code: 1,
    err: expect.stringContaining("is a folder"),
  })
})

test("--json prints the result alone", async () => {
  const { code, out } = await bench(...one, "--progress", "none", "--json")
  expect(code).toBe(0)
  const report = parseLatencyReport(JSON.parse(out), "stdout")
  expect(report.options).toMatchObject({ threads: 1, quick: true, batches: [1] })
  expect(report.rows).toMatchObject([{ model: "quickstart", tower: "image", batch: 1, device: "cpu", dtype: "fp32" }])
})

test("rows as lines under their titles, an estimate first, and a page", async () => {
  const page = join(folder, "new", "page.html")
  const { code, out, err } = await bench(...one, "--batch", "2", "--html", page)
  expect(code).toBe(0)
  expect(err).toMatch(/^1 row, about .*, 1 MB in the temporary folder meanwhile\n/)
  const [titles, row] = out.split("\n")
  expect(titles).toMatch(/^tower +of +on +batch +median +p95 +\/s +peak +drift +MB +start +models$/)
  expect(row).toMatch(
    /^quickstart +image +cpu fp32 +2 +[\d.,]+ +[\d.,]+ +[\d.,]+ +\d+ % +\S+% +\d+ +[\d,]+ +quickstart$/,
  )
  expect(out).toContain(`page: ${page}`)
  expect(readFileSync(page, "utf8")).toContain("<h1>Latency on this machine</h1>")
})

test("Ctrl-C: nothing is left in the temporary folder", async () => {
  const temporary = mkdtempSync(join(folder, "tmp-"))
  const argv = ["bench", "--model", "mobileclip-s0", "--progress", "plain"]
  const child = startProgram(argv, { env: { ...process.env, TMPDIR: temporary }, stderr: "pipe" })
  const said = errorsOf(child)
  while (!said().includes("generate:")) await once(child.stderr!, "data")
  expect(readdirSync(temporary)).toHaveLength(1)
  child.kill("SIGINT")
  expect(await ended(child)).toBe(130)
  expect(existsSync(temporary) && readdirSync(temporary)).toEqual([])
})
