import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { makeSelfSuite, selfSuite } from "../../benchmark/layout/self-suite.ts"
import { exportModel } from "../../export/export.ts"
import { initialize } from "../../model/module.ts"
import { main } from "../main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "evaluate-command-"))
  vi.stubEnv("XDG_CACHE_HOME", at("user-cache"))
  await exportModel(tinyModel(), tinyInfo, at("first"))
  const other = tinyModel()
  initialize(other, 7)
  await exportModel(other, tinyInfo, at("second"))
  await makeSelfSuite(at("self"), { size: 48 })
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["evaluate", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out: out.replaceAll(folder, "DIR"), err: err.replaceAll(folder, "DIR") }
}

const quiet = ["--progress", "none"]
const keys = selfSuite.map(({ key }) => key)
const selfMade = () => ["--suite", "self", "--data", at("self"), ...quiet]

test("two models, stopped and gone on with, and each alone give the same lines", async () => {
  const lines = (...path: string[]) =>
    readFileSync(at(...path, "results.jsonl"), "utf8")
      .replaceAll(/"(seconds|cachedImages)":[\d.]+/g, '"$1":0')
      .trim()
      .split("\n")
  const models = ["--model", at("first"), "--model", at("second")]
  const whole = await run(...models, ...selfMade(), "--out", at("both"), "--no-cache")
  expect({ code: whole.code, err: whole.err }).toEqual({ code: 0, err: "" })
  expect(lines("both", "first").map((line) => JSON.parse(line).key)).toEqual(keys)
  expect(lines("both", "second")).not.toEqual(lines("both", "first"))

  const stopping = run("--model", at("first"), ...selfMade(), "--out", at("alone"), "--no-cache")
  while (!existsSync(at("alone", "results.jsonl"))) await new Promise((resolve) => setTimeout(resolve, 5))
  process.emit("SIGINT", "SIGINT")
  const stopped = await stopping
  expect(stopped.code).toBe(130)
  expect(stopped.err).toMatch(
    /stopping after the current batch.*\n.*stopped; to go on:\n {2}mobileclip evaluate --model DIR\/first/s,
  )
  const some = lines("alone").length
  expect(some).toBeLessThan(keys.length)
  expect((await run("--model", at("first"), ...selfMade(), "--out", at("alone"), "--no-cache")).code).toBe(0)
  expect(lines("alone")).toEqual(lines("both", "first"))
  expect(readdirSync(at("alone", "answers"))).toContain("self--shape-by-size.groups.npy")
})

test("a table, and where to go next", async () => {
  const { code, out } = await run("--model", at("first"), ...selfMade(), "--out", at("table"))
  expect(code).toBe(0)
  expect(out).toMatch(/^task +main metric +score +chance +answers +time\nself\/shape +acc1 +\d+\.\d % +8\.3 % +48 /)
  expect(out).toMatch(/self\/retrieval +mean_recall@1 +[\d.]+ % +144 /)
  expect(out).toMatch(/results: DIR\/table\nnext:\n {2}mobileclip evaluate compare DIR\/table\n$/)
})

test("with other prompts no picture is encoded again; --json says what came from the cache", async () => {
  const cached = async (...argv: string[]) => {
    const { out } = await run(
      "--model",
      at("second"),
      ...quiet,
      "--data",
      at("self"),
      "--cache",
      at("cache"),
      "--json",
      ...argv,
    )
    const { models } = JSON.parse(out)
    return models[0].results.map(({ details }: { details: { cachedImages: number } }) => details.cachedImages)
  }
  expect(await cached("--task", "self/shape")).toEqual([0])
  expect(
    await cached("--task", "self/shape", "--templates", at("self", "self/shape/zeroshot_classification_templates.txt")),
  ).toEqual([48])
})

test("other formats: printed a line a task, or as files beside the results", async () => {
  const tasks = ["--data", at("self"), "--task", "self/shape", "--task", "self/retrieval", ...quiet]
  const { out } = await run("--model", at("first"), ...tasks, "--format", "clip_benchmark")
  const [shape, retrieval] = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
  expect(shape).toMatchObject({
    dataset: "wds/self/shape",
    model: "first",
    task: "zeroshot_classification",
    language: "en",
  })
  expect(Object.keys(shape.metrics)).toEqual(["acc1", "acc5", "mean_per_class_recall"])
  expect(retrieval).toMatchObject({ task: "zeroshot_retrieval" })
  expect((await run("--model", at("first"), ...tasks, "--format", "mteb", "--out", at("mteb"))).code).toBe(0)
  const file = JSON.parse(readFileSync(at("mteb", "mteb", "self_shape.json"), "utf8"))
  expect(file).toMatchObject({
    task_name: "self/shape",
    scores: { test: [{ hf_subset: "default", languages: ["eng-Latn"] }] },
  })
  expect(file.scores.test[0]).toMatchObject({ main_score: shape.metrics.acc1, accuracy: shape.metrics.acc1 })
})

test("what fails is one line each, and 3; what a root lacks is left out; nothing at all is an error", async () => {
  rmSync(at("broken"), { recursive: true, force: true })
  await makeSelfSuite(at("broken"), { size: 48 })
  rmSync(at("broken", "self/colour/classnames.txt"))
  rmSync(at("broken", "self/count"), { recursive: true })
  const { code, out, err } = await run("--model", at("first"), "--suite", "self", "--data", at("broken"), ...quiet)
  expect(code).toBe(3)
  expect(err.trim().split("\n")).toEqual([
    "left out, because DIR/broken has no folder of them: self/count",
    expect.stringMatching(/^mobileclip: self\/colour: DIR\/broken\/self\/colour has no classnames\.txt/),
    "mobileclip: 1 of 8 tasks failed",
  ])
  expect(out).toMatch(/self\/association/)
  expect(await run("--model", at("first"), "--data", at("first"), ...quiet)).toMatchObject({
    ...{
      code: 1,
      err: expect.stringMatching(/^mobileclip: DIR\/first has none of the 40 tasks\n.*`mobileclip evaluate pack`/),
    },
  })
  expect(await run("--model", at("first"), "--data", at("self"), "--task", "self/shap", ...quiet)).toMatchObject({
    ...{
      code: 1,
      err: expect.stringMatching(
        /self\/shap is not a task of the suites, and DIR\/self has no .*\n.*self\/shape.*--task my\/birds is data/,
      ),
    },
  })
})

test("a run's model has the name of its run, not that of every run's model", async () => {
  for (const name of ["mine-0", "mine-1"]) cpSync(at("first"), at("runs", name, "model"), { recursive: true })
  const models = ["--model", at("runs/mine-0"), "--model", at("runs/mine-1/model")]
  const { code, out } = await run(
    ...models,
    "--data",
    at("self"),
    "--task",
    "self/shape",
    "--out",
    at("named"),
    ...quiet,
  )
  expect(code).toBe(0)
  expect(out).toMatch(/^task .* mine-0 +mine-1 /m)
  expect(readdirSync(at("named")).sort()).toEqual(["mine-0", "mine-1"])
})

test("wrong usage", async () => {
  expect(await run("--suite", "self")).toMatchObject({ code: 2, err: expect.stringContaining("'--model <model>'") })
  expect(await run("--model", "x", "--suite", "self", "--task", "a")).toMatchObject({ code: 2 })
  expect(await run("--model", at("first"))).toMatchObject({ code: 1, err: expect.stringContaining("needs data") })
  expect((await run("--help")).out).toMatch(/--suite self.*no data needed/s)
})

test("a root that is not there is one line, before anything is written", async () => {
  const { code, err } = await run("--model", at("first"), ...quiet, "--data", at("nowhere"), "--out", at("nothing"))
  expect({ code, err }).toEqual({ code: 1, err: "mobileclip: DIR/nowhere: no such folder\n  check --data\n" })
  expect(existsSync(at("nothing"))).toBe(false)
})

test("a task's path does not lead out of the root; the tasks beside it are done", async () => {
  const tasks = ["--task", "../self/self/shape", "--task", "shape"]
  const { code, out, err } = await run("--model", at("first"), ...quiet, "--data", at("self", "self"), ...tasks)
  expect(code).toBe(3)
  expect(out).toMatch(/^shape +acc1 /m)
  expect(err).toMatch(
    /^mobileclip: \.\.\/self\/self\/shape: "\.\.\/self\/self\/shape" is not a path below DIR\/self\/self /,
  )
})

test("a server that refuses a shard of one's own task fails that task alone", async () => {
  await using server = await shapesBehind("/refused/test/0.tar")
  const tasks = ["--task", "refused", "--task", "shape"]
  const { code, out, err } = await run(
    "--model",
    at("first"),
    ...quiet,
    "--no-cache",
    "--data",
    server.address,
    ...tasks,
  )
  expect(out).toMatch(/^shape +acc1 /m)
  expect({ code, err: err.replaceAll(server.address, "SERVER") }).toEqual({
    code: 3,
    err: expect.stringMatching(
      /^mobileclip: refused: SERVER\/refused\/test\/0\.tar: no access \(403\).*\n.*1 of 2 tasks failed/,
    ),
  })
})

/** Serves the suite's shapes as `refused` and as `shape`. */
async function shapesBehind(refused: string) {
  const server = createServer(({ url, method }, response) => {
    const path = at("self", "self", url!.replace(/^\/refused/, "/shape"))
    if (url === refused) return void response.writeHead(403).end()
    if (!existsSync(path)) return void response.writeHead(404).end()
    const bytes = readFileSync(path)
    response.writeHead(200, { "Content-Length": bytes.length }).end(method === "HEAD" ? "" : bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
