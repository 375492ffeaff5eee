import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { requireInRoots } from "./output.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "roots-"))
  for (const name of ["results", "elsewhere"]) mkdirSync(at(name))
  symlinkSync(at("elsewhere"), at("results", "link"))
  symlinkSync(at("results"), at("alias"))
  symlinkSync(at("nowhere"), at("results", "dangling"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const isAllowed = (output: string, ...roots: string[]) =>
  requireInRoots(output, roots).then(
    () => true,
    () => false,
  )

test("paths are compared as they resolve", async () => {
  expect(await isAllowed(at("results"), at("results"))).toBe(true)
  expect(await isAllowed(at("results", "new", "deep"), at("results"))).toBe(true)
  expect(await isAllowed(at("alias", "new"), at("results"))).toBe(true)
  expect(await isAllowed(at("results", "new"), at("alias"))).toBe(true)
  expect(await isAllowed(`file://${at("results", "new")}`, at("results"))).toBe(true)
  expect(await isAllowed(at("elsewhere", "new"), at("results"), at("elsewhere"))).toBe(true)
  expect(await isAllowed("/", "/")).toBe(true)
  expect(await isAllowed("anything")).toBe(true)
})

test("what leads out of a root is refused", async () => {
  expect(await isAllowed(at("results-2"), at("results"))).toBe(false)
  expect(await isAllowed(at("results", "..", "elsewhere"), at("results"))).toBe(false)
  expect(await isAllowed(at("results", "link", "new"), at("results"))).toBe(false)
  expect(await isAllowed(at("results", "dangling", "new"), at("results"))).toBe(false)
  expect(await isAllowed(`file://${folder}/results/%2e%2e/elsewhere`, at("results"))).toBe(false)
  expect(await isAllowed("s3://b/out", at("results"))).toBe(false)
})

test("URLs are compared part by part", async () => {
  expect(await isAllowed("s3://b/results/run-1", "s3://b/results/")).toBe(true)
  expect(await isAllowed("s3://b/results", "s3://b/results")).toBe(true)
  expect(await isAllowed("s3://b/results-2", "s3://b/results")).toBe(false)
  expect(await isAllowed("s3://b/results/../victim", "s3://b/results")).toBe(false)
  expect(await isAllowed("s3://b/results/%2e%2e/victim", "s3://b/results")).toBe(false)
  expect(await isAllowed("s3://bucket/out", "s3://b")).toBe(false)
})

test("the refusal is one line that names both", async () => {
  await expect(requireInRoots("/victim", ["/results", "s3://b/out"])).rejects.toThrow(
    'the job writes to "/victim", which is not inside of "/results" or "s3://b/out" (--output-root)',
  )
})
