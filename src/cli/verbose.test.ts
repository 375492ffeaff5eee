/** `--verbose` in the commands that have it: a line on stderr before the work, and nothing else changes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, expect, test, vi } from "vitest"
import * as torch from "../../torch/index.ts"
import { libtorchInUse } from "../doctor/computing.ts"
import { main } from "./main.ts"

const folder = mkdtempSync(join(tmpdir(), "verbose-"))
const at = (...parts: string[]) => join(folder, ...parts)
afterEach(() => vi.unstubAllEnvs())
afterAll(() => rmSync(folder, { recursive: true }))

async function run(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(argv, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const inUse = (device: string, threads: number) => `${libtorchInUse(torch.version(), { device, threads })}\n`

test("train", async () => {
  const argv = ["train", "--recipe", "dfndr-12m", "--print-config", "--threads", "3"]
  const silent = await run(...argv)
  expect(silent).toMatchObject({ code: 0, err: "" })
  expect(await run(...argv, "--verbose")).toEqual({ ...silent, err: inUse("cpu", 3) })
  const ranks = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "1", MASTER_ADDR: "127.0.0.1", MASTER_PORT: "1" }
  for (const [name, value] of Object.entries(ranks)) vi.stubEnv(name, value)
  expect(await run(...argv, "--verbose")).toEqual(silent)
  vi.stubEnv("RANK", "0")
  expect(await run(...argv, "--verbose")).toEqual({ ...silent, err: inUse("cpu", 3) })
})

test("finetune and quickstart", async () => {
  mkdirSync(at("other"))
  writeFileSync(at("other", "report.html"), "mine")
  for (const argv of [
    ["finetune", at("none"), "--model", "m", "--out", at("out")],
    ["quickstart", "--out", at("other")],
  ]) {
    const silent = await run(...argv, "--threads", "3")
    expect(silent).toMatchObject({ code: 1, err: expect.stringMatching(/^mobileclip: /) })
    expect(await run(...argv, "--threads", "3", "--verbose")).toEqual({ ...silent, err: inUse("cpu", 3) + silent.err })
  }
})

test("reinforce", async () => {
  writeFileSync(at("0.tar"), "")
  const argv = ["reinforce", "caption", "--input", at("0.tar"), "--output", at("captions"), "--model-name", "m"]
  const silent = await run(...argv, "--dry-run", "--threads", "3")
  expect(silent).toMatchObject({ code: 0, err: "" })
  expect(await run(...argv, "--dry-run", "--threads", "3", "--verbose")).toEqual({
    ...silent,
    err: "models run on ONNX Runtime; device cpu\n1 workers, each with 3 threads for models and 0 more for pictures\n",
  })
})
