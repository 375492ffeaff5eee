/** A checkpoint on libtorch is the same teacher as the directory that is exported from it. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import * as torch from "../../torch/index.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { exportModel } from "../export/export.ts"
import type { ExportableModel } from "../export/towers.ts"
import { compareRows } from "../export/verify.ts"
import { openTeacher } from "./teachers.ts"
import { torchTeacher } from "./torch-teacher.ts"

const texts = ["a photo of a cat", "two dogs, one of them asleep", "", "many words ".repeat(60)]
const weights = [{ file: "tiny.safetensors", sha256: "00" }]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "torch-teacher-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Largest difference in standard deviations of what is expected. */
function worst(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length)
  const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length
  const std = Math.sqrt(expected.reduce((sum, value) => sum + (value - mean) ** 2, 0) / expected.length)
  return found.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0) / std
}

describe.each([
  ["causal", () => tinyModel(), tinyInfo],
  ["mct", () => tinyModel({ kind: "mct", causal: false }), tinyInfo],
  ["coca", tinyCoca, tinyCocaInfo],
] as const)("%s", (name, build, info) => {
  test("vectors are those of the exported towers, by 1e-4 standard deviations", async () => {
    const model = build()
    await exportModel(model as ExportableModel, info, join(folder, name))
    await using onnx = await openTeacher(join(folder, name))
    await using libtorch = torchTeacher(model, { ...info, weights })
    const { size } = info.preprocessing
    const pixels = inputImage(size, 5)
    expect(worst(await libtorch.encodePixels(pixels, 5), await onnx.encodePixels(pixels, 5))).toBeLessThan(1e-4)
    expect(worst(await libtorch.encodeTexts(texts), await onnx.encodeTexts(texts))).toBeLessThan(1e-4)
    expect([libtorch.embedDim, libtorch.preprocessing]).toEqual([onnx.embedDim, onnx.preprocessing])
  })

  test("vectors in bfloat16 point where those in float32 do", async () => {
    await using exact = torchTeacher(build(), { ...info, weights })
    await using rounded = torchTeacher(build(), { ...info, weights }, { precision: "bfloat16" })
    const pixels = inputImage(info.preprocessing.size, 5)
    const cosine = (ours: Float32Array, expected: Float32Array) => compareRows(ours, expected, exact.embedDim).cosine
    // Eight bits of mantissa, a few layers: errors of 2^-8 a value are angles of about 0.01.
    const images = cosine(await rounded.encodePixels(pixels, 5), await exact.encodePixels(pixels, 5))
    expect(images).toBeGreaterThan(0.999)
    expect(cosine(await rounded.encodeTexts(texts), await exact.encodeTexts(texts))).toBeGreaterThan(0.999)
    expect(images).toBeLessThan(1 - 1e-8)
  })
})

test("a lower precision is near, and says so", async () => {
  await using exact = torchTeacher(tinyModel(), { ...tinyInfo, weights })
  await using rounded = torchTeacher(tinyModel(), { ...tinyInfo, weights }, { precision: "bfloat16" })
  expect(exact.identity).toBe("tiny tiny.safetensors=sha256:00 64px bilinear mean=0,0,0 std=1,1,1")
  expect(rounded.identity).toBe(`${exact.identity} bf16`)
  const difference = worst(await rounded.encodeTexts(texts), await exact.encodeTexts(texts))
  expect(difference).toBeGreaterThan(1e-4)
  expect(difference).toBeLessThan(0.1)
  expect(() => torchTeacher(tinyModel(), { ...tinyInfo, weights }, { precision: "float16" })).toThrow(
    "fp16 is not computed",
  )
})

test("calls leave no tensors behind", async () => {
  await using teacher = torchTeacher(tinyModel(), { ...tinyInfo, weights })
  await teacher.encodeTexts(texts)
  const before = torch.memory().liveTensors
  await teacher.encodeTexts(texts)
  await teacher.encodePixels(inputImage(64, 2), 2)
  expect(torch.memory().liveTensors).toBe(before)
})
