import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { HubServer } from "../../../test/hub-server.ts"
import { main } from "../main.ts"

const commit = "a".repeat(40)
const weights = Buffer.alloc(2_000_000, "weights ")

let folder: string
let hub: HubServer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pull-command-"))
  const files = { "mobileclip2_s0.pt": weights }
  hub = await HubServer.start({ "apple/MobileCLIP2-S0": { commit, tags: ["license:apple-amlr"], files } })
  vi.stubEnv("HF_ENDPOINT", hub.endpoint)
  vi.stubEnv("HF_HOME", folder)
  vi.stubEnv("XDG_CACHE_HOME", folder)
  for (const name of ["HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    vi.stubEnv(name, "")
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await hub[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["pull", ...argv], undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const path = () => join(folder, "hub/models--apple--MobileCLIP2-S0/snapshots", commit, "mobileclip2_s0.pt")

test("the path is the last line of stdout; the licence is shown once, on stderr", async () => {
  const first = await run("mobileclip2-s0")
  expect(first).toMatchObject({ code: 0, out: `${path()}\n` })
  expect(first.err).toMatch(/^licence of apple\/MobileCLIP2-S0: Apple Machine.*\n {2}Apple gives .*research only/)
  const { code, out, err } = await run("mobileclip2-s0", "--json")
  expect({ code, err: err.split("\n").length }).toEqual({ code: 0, err: 2 })
  expect(JSON.parse(out)).toMatchObject({ path: path(), revision: commit, license: { id: "apple-amlr" }, cached: true })
  expect(await run("mobileclip2-s0", "--quiet")).toEqual({ code: 0, out: `${path()}\n`, err: "" })
})

test("Ctrl-C ends with 130 and keeps what was downloaded", async () => {
  hub.faults.push({ holdAfter: 1_000_000, held: () => process.emit("SIGINT", "SIGINT") })
  expect(await run("mobileclip2-s0")).toMatchObject({ code: 130, out: "" })
  expect(await run("mobileclip2-s0")).toMatchObject({ code: 0, out: `${path()}\n` })
  expect(readFileSync(path()).equals(weights)).toBe(true)
  const [, second] = hub.downloads
  expect(second!.range).toBe(`bytes=${weights.length - second!.sent}-`)
})

test("the list names every model and where it is", async () => {
  const { code, out, err } = await run("--list")
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const [table, choice] = out.trimEnd().split("\n\n")
  expect(table!.split("\n")).toHaveLength(1 + 67)
  expect(table).toMatch(/^MobileCLIP2-S0 +apple\/MobileCLIP2-S0 +clip +research only \(Apple\) +299 +150$/m)
  expect(table).toMatch(/^ViT-B-16-datacomp .* clip +commercial too \(MIT\) +598 +299$/m)
  expect(table).toMatch(/^fastvit_mci0\.apple_mclip .* image tower +research only \(Apple\) +45 +23$/m)
  expect(choice).toMatch(/^Which to choose .*\n {2}MobileCLIP2-S0 +the smallest of MobileCLIP2: begin with it\n/)
  const list = JSON.parse((await run("--list", "--json")).out)
  expect(list).toHaveLength(67)
  expect(list[0]).toMatchObject({
    terms: { name: "Apple Machine Learning Research Model License", use: "research only" },
    megabytes: { fp32: expect.closeTo(299.14, 2), fp16: expect.closeTo(149.57, 2) },
    recommendedFor: "the smallest of MobileCLIP2: begin with it",
  })
  const accuracyOf = (wanted: string) => list.find(({ name }: { name: string }) => name === wanted).accuracy
  expect(accuracyOf("MobileCLIP2-S2-OpenCLIP")).toEqual({ imagenet: 77.236, average38: 64.051 })
  expect(accuracyOf("ViT-B-32-laion2b")).toEqual({ imagenet: 66.56, average38: 56.94 })
  // Another file of an architecture has no part in the results of the first.
  expect(accuracyOf("DFN2B-CLIP-ViT-L-14-39B")).toBeNull()
  // Every recommendation is of something that can be pulled.
  expect(list.filter(({ recommendedFor }: { recommendedFor: string | null }) => recommendedFor)).toHaveLength(6)
})

test("wrong usage is 2, what fails is 1 and one line", async () => {
  expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining("missing required argument 'name'") })
  const { code, out, err } = await run("mobileclip9")
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(err).toMatch(/^mobileclip: "mobileclip9" is not a known model.*\n {2}nearest names: .*\n$/)
})
