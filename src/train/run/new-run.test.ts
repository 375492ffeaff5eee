import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { markRun, requireNewRun, unmarkRun } from "./new-run.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "new-run-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (name: string) => join(folder, name)
const check = () => requireNewRun(folder, ["report.html"])

test("files that a run would replace are named, also broken links; others do not matter", async () => {
  writeFileSync(at("notes.txt"), "")
  mkdirSync(at("tensorboard"))
  await check()
  writeFileSync(at("report.html"), "")
  symlinkSync("nowhere", at("metrics.jsonl"))
  writeFileSync(at("checkpoints"), "")
  await expect(check()).rejects.toThrow(`${folder} has no checkpoints of a run, and holds checkpoints, metrics.jsonl, report.html, which a run would replace`) // biome-ignore format: a line
})

test("files of a run without a checkpoint may be replaced, a finished model never", async () => {
  await markRun(folder, false)
  writeFileSync(at("report.html"), "")
  await check()
  writeFileSync(at("model.safetensors"), "")
  await expect(check()).rejects.toThrow("holds model.safetensors, which")
  rmSync(at("model.safetensors"))
  await unmarkRun(folder)
  await expect(check()).rejects.toThrow("holds report.html, which")
})

test("the first checkpoint removes the marker; a file of its name that no run wrote stays", async () => {
  await markRun(folder, false)
  expect(existsSync(at(".begun"))).toBe(true)
  await markRun(folder, true)
  expect(existsSync(at(".begun"))).toBe(false)
  writeFileSync(at(".begun"), "mine")
  await markRun(folder, true)
  expect(readFileSync(at(".begun"), "utf8")).toBe("mine")
  await expect(check()).rejects.toThrow("holds .begun, which")
})

test("a missing directory, or a file in its place, has nothing to replace", async () => {
  await requireNewRun(at("none"), [])
  writeFileSync(at("file"), "")
  await requireNewRun(join(at("file"), "below"), [])
})
