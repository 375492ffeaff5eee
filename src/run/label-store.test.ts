/** Labels that are kept between runs, by a model that is opened anew. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { labelVectors } from "../core/text/prompts.ts"
import { exportModel } from "../export/export.ts"
import { createClassifier } from "./labels/classify.ts"
import { bakeLabels } from "./labels/label-vectors.ts"
import type { LoadOptions } from "./load-options.ts"
import { loadModel } from "./node.ts"

let models: string
let folder: string
const at = (...parts: string[]) => join(models, ...parts)
beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "label-store-models-"))
  await exportModel(tinyModel(), tinyInfo, at("one"))
})
afterAll(() => rmSync(models, { recursive: true }))
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "label-store-"))
  vi.stubEnv("XDG_CACHE_HOME", folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

const labels = Array.from({ length: 50 }, (_, i) => `label ${"of ".repeat(i % 5)}${i}`)
const templates = Array.from({ length: 16 }, (_, i) => `${"very ".repeat(i % 3)}{} ${i}`)

/** Vectors by a model that is opened for them, and how many texts it encoded. */
async function baked(given: readonly string[], options: LoadOptions & { readonly name?: string } = {}) {
  const { name = "one", ...loading } = options
  await using model = await loadModel(at(name), { threads: 1, ...loading })
  const encode = vi.spyOn(model, "encodeTexts")
  let kept: readonly number[] = []
  const onKept = (...counts: readonly number[]) => {
    kept = counts
  }
  const { vectors } = await bakeLabels(model, given, templates, { onKept })
  return { vectors, encoded: encode.mock.calls.reduce((sum, [texts]) => sum + texts.length, 0), kept }
}

const keptFiles = () => {
  try {
    return readdirSync(join(folder, "mobileclip", "vectors")).map((name) => name.replace(/.*\./, ""))
  } catch {
    return []
  }
}
const bytesOf = (vectors: Float32Array) => Buffer.from(vectors.buffer, vectors.byteOffset, vectors.byteLength)
const rows = (vectors: Float32Array, from: number, to: number) => vectors.subarray(16 * from, 16 * to)

test("the second run encodes nothing, and has the bits of a run that keeps nothing", async () => {
  const without = await baked(labels, { cache: false })
  expect([without.encoded, keptFiles()]).toEqual([800, []])
  const [first, second] = [await baked(labels), await baked(labels)]
  expect([first.encoded, second.encoded]).toEqual([800, 0])
  expect([first.kept, second.kept]).toEqual([
    [0, 50, 800],
    [50, 50, 800],
  ])
  for (const { vectors } of [first, second]) expect(bytesOf(vectors).equals(bytesOf(without.vectors))).toBe(true)
  expect(keptFiles().sort()).toEqual(["labels", "records"])
  expect((await baked(labels, { cache: false })).encoded).toBe(800)
})

test("only labels that are new are encoded, and the others keep their bits in any order", async () => {
  const before = await baked(labels)
  const changed = [...labels.slice(1).reverse(), "another one"]
  const after = await baked(changed)
  expect(after.encoded).toBe(templates.length)
  for (const [row, label] of changed.slice(0, -1).entries()) {
    const old = labels.indexOf(label)
    expect(rows(after.vectors, row, row + 1)).toEqual(rows(before.vectors, old, old + 1))
  }
  const alone = await baked(["another one"], { cache: false })
  for (const [i, value] of rows(after.vectors, 49, 50).entries()) expect(value).toBeCloseTo(alone.vectors[i]!, 6)
})

test("a run that is stopped has kept what it encoded, and the next one ends with the bits of one that was not", async () => {
  const stop = new AbortController()
  {
    await using model = await loadModel(at("one"), { threads: 1 })
    const onPrompts = (done: number) => {
      if (done > 0) stop.abort(new Error("stopped"))
    }
    const options = { store: model.labelStore, onPrompts, signal: stop.signal }
    await expect(labelVectors(model, labels, templates, options)).rejects.toThrow("stopped")
  }
  const rest = await baked(labels)
  // 512 prompts at a time are those of 32 labels.
  expect(rest.encoded).toBe((50 - 32) * templates.length)
  expect(bytesOf(rest.vectors).equals(bytesOf((await baked(labels, { cache: false })).vectors))).toBe(true)
})

test("another model in the same place finds nothing, whatever its name", async () => {
  await exportModel(tinyModel(), tinyInfo, at("changing"))
  await baked(labels, { name: "changing" })
  // The same weights elsewhere.
  expect((await baked(labels)).encoded).toBe(0)
  await exportModel(tinyModel({ activation: "quick-gelu" }), tinyInfo, at("changing"))
  const changed = await baked(labels, { name: "changing" })
  expect(changed.encoded).toBe(800)
  expect(bytesOf(changed.vectors).equals(bytesOf((await baked(labels)).vectors))).toBe(false)
})

test("a model whose files are replaced while it is open keeps nothing for the new ones", async () => {
  await exportModel(tinyModel(), tinyInfo, at("replaced"))
  await using model = await loadModel(at("replaced"), { threads: 1 })
  await model.encodeTexts(["read now"])
  await exportModel(tinyModel({ activation: "quick-gelu" }), tinyInfo, at("replaced"))
  const old = await bakeLabels(model, labels, templates)
  expect(bytesOf(old.vectors).equals(bytesOf((await baked(labels, { cache: false })).vectors))).toBe(true)
  expect((await baked(labels, { name: "replaced" })).encoded).toBe(800)
})

test("labels that a classifier is made of and gets later are kept too; a few that are encoded at once are not", async () => {
  await using model = await loadModel(at("one"), { threads: 1 })
  await createClassifier(model, ["cat", "dog"], ["a {}"])
  expect(keptFiles()).toEqual([])
  const classifier = await createClassifier(model, labels.slice(0, 10), templates)
  await classifier.add(labels.slice(5))
  expect((await baked(labels)).encoded).toBe(0)
})

test("where the cache cannot be written, it says so once and encodes", async () => {
  const notes: string[] = []
  writeFileSync(join(folder, "file"), "")
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "file"))
  const { vectors, encoded } = await baked(labels, { onNote: (line) => notes.push(line) })
  expect(encoded).toBe(800)
  expect(notes).toEqual([expect.stringMatching(/^vectors are not kept from here on: /)])
  vi.stubEnv("XDG_CACHE_HOME", folder)
  expect(bytesOf(vectors).equals(bytesOf((await baked(labels)).vectors))).toBe(true)
})
