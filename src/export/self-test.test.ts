import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { type Manifest, parseManifest } from "../core/inference/manifest.ts"
import { initialize } from "../model/module.ts"
import { exportModel } from "./export.ts"
import { selfTest } from "./self-test.ts"

let folder: string
let manifest: Manifest
const at = (name: string) => join(folder, name)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "self-test-"))
  manifest = await exportModel(tinyModel({ causal: false }), tinyInfo, at("model"))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each(["image", "text"] as const)("the %s tower", (tower) => {
  test("gives what its manifest expects, alone and in a batch", async () => {
    const { error, batchError, tolerance, milliseconds } = await selfTest(at("model"), tower, manifest)
    expect(error).toBeLessThan(1e-5)
    expect(batchError).toBeLessThan(1e-5)
    expect(tolerance).toBe(2e-4)
    expect(milliseconds).toBeGreaterThan(0)
  })

  test("other weights are far off", async () => {
    const other = tinyModel({ causal: false })
    initialize(other, 2)
    await exportModel(other, tinyInfo, at("other"))
    expect((await selfTest(at("other"), tower, manifest)).error).toBeGreaterThan(0.1)
  })

  test("is compared value by value and by norms", async () => {
    const expected = structuredClone(manifest.selfTest!) as { [key: string]: { values: number[][]; norms: number[] } }
    const { standardDeviation } = manifest.selfTest![tower]!
    expected[tower]!.values[2]![7]! += 3 * standardDeviation
    const changed = { ...manifest, selfTest: expected as unknown as Manifest["selfTest"] }
    expect((await selfTest(at("model"), tower, changed)).error).toBeCloseTo(3, 4)
    expected[tower]!.norms[0]! += 5 * standardDeviation * Math.sqrt(manifest.embedDim)
    expect((await selfTest(at("model"), tower, changed)).error).toBeCloseTo(5, 4)
  })
})

test("the manifest keeps eight values and the norm of each of three rows, and is optional", () => {
  for (const { values, norms, standardDeviation } of [manifest.selfTest!.image, manifest.selfTest!.text!]) {
    expect(values.map((row) => row.length)).toEqual([8, 8, 8])
    for (const [i, row] of values.entries()) expect(norms[i]).toBeGreaterThan(Math.hypot(...row))
    expect(standardDeviation).toBeGreaterThan(0)
  }
  const { selfTest: _, ...older } = JSON.parse(readFileSync(join(at("model"), "mobileclip.json"), "utf8"))
  expect(parseManifest(older, "mobileclip.json").selfTest).toBeUndefined()
})

test("where the towers are of two types, each is judged by its own", async () => {
  const mixed = await exportModel(tinyModel({ causal: false }), tinyInfo, at("mixed"), { dtype: "mixed" })
  expect(mixed).toMatchObject({ dtype: "mixed", verification: { tolerance: 0.05 } })
  const [image, text] = await Promise.all(
    (["image", "text"] as const).map((tower) => selfTest(at("mixed"), tower, mixed)),
  )
  expect([image!.tolerance, text!.tolerance]).toEqual([0.1, 2e-4])
  expect(text!.error).toBeLessThan(1e-5)
  expect(image!.error).toBeLessThan(0.1)
})

test("without expected values there is nothing to compare with", async () => {
  const { selfTest: _, ...older } = manifest
  expect(await selfTest(at("model"), "text", older)).toMatchObject({ error: null })
})

test("a tower that does not run, or has another width, is told with its path", async () => {
  await expect(selfTest(at("model"), "image", { ...manifest, embedDim: 17 })).rejects.toThrow(
    /model\/onnx\/vision_model\.onnx does not run: its embeddings have 16 values, and the manifest says 17$/,
  )
  await exportModel(tinyModel(), tinyInfo, at("cut"))
  truncateSync(join(at("cut"), "onnx/text_model.onnx"), 1000)
  await expect(selfTest(at("cut"), "text", manifest)).rejects.toThrow(/cut\/onnx\/text_model\.onnx does not run: /)
})
