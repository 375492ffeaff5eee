import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import * as ort from "onnxruntime-node"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { fillByRule } from "../../test/checks/models.ts"
import { tinyConfig, tinyModel } from "../../test/tiny-model.ts"
import { inputImage } from "../core/arrays/fill.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { Clip } from "../model/clip.ts"
import { fold, reparameterize } from "../model/reparameterize.ts"
import type { EncodedFile } from "../tensor/onnx-proto.ts"
import { layouts } from "./layouts.ts"
import { type TowerName, traceTower } from "./towers.ts"

const levels = ["disabled", "basic", "extended", "all"] as const
const names = ["image", "text"] as const

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "towers-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

function filled(): Clip {
  const model = new Clip(tinyConfig)
  fillByRule(model, "openclip")
  return fold(reparameterize(model))
}

const towers = layouts["transformers.js"].towers("fp32")

/** The files of a tower by name. */
function towerFiles(tower: TowerName, dtype: OnnxDtype, model: Clip, maxBytes?: number): Map<string, EncodedFile> {
  const place = layouts["transformers.js"].towers(dtype)[tower]
  const dataFile = `${basename(place.file)}_data`
  const encode = { dataFile, ...(maxBytes !== undefined && { maxBytes }) }
  const encoded = traceTower(tower, model, place, { dtype, encode })
  const files = new Map<string, EncodedFile>([[place.file, encoded]])
  if (encoded.external) files.set(join(dirname(place.file), dataFile), encoded.external)
  return files
}

/** Writes a tower and gives its path. */
function write(model: Clip, tower: TowerName, dtype: OnnxDtype, maxBytes?: number): string {
  const files = towerFiles(tower, dtype, model, maxBytes)
  for (const [file, encoded] of files) {
    const bytes = Buffer.concat([...encoded.chunks()])
    expect(bytes.length).toBe(encoded.byteLength)
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), bytes)
  }
  return join(folder, [...files.keys()][0]!)
}

async function embed(path: string, tower: TowerName, level: (typeof levels)[number]): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(path, { graphOptimizationLevel: level })
  const ids = new BigInt64Array(2 * 77)
  ids.set([49406n, 320n, 1125n, 49407n])
  ids.set([49406n, 539n, 320n, 2368n, 525n, 49407n], 77)
  const inputs = {
    image: new ort.Tensor("float32", inputImage(64), [2, 3, 64, 64]),
    text: new ort.Tensor("int64", ids, [2, 77]),
  }
  const results = await session.run({ [towers[tower].input]: inputs[tower] })
  await session.release()
  return results[towers[tower].output]!.data as Float32Array
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

describe("float16", () => {
  test.each(names.flatMap((tower) => levels.map((level) => [tower, level] as const)))(
    "the %s tower loads at level %s and points where float32 does",
    async (tower, level) => {
      const model = filled()
      const expected = await embed(write(model, tower, "fp32"), tower, level)
      const halves = await embed(write(model, tower, "fp16"), tower, level)
      expect(halves).not.toEqual(expected)
      for (const row of [0, 1]) {
        const [a, b] = [halves, expected].map((rows) => rows.subarray(16 * row, 16 * row + 16))
        expect(cosine(a!, b!)).toBeGreaterThan(0.9999)
      }
    },
  )

  test("a weight beyond its range is named", () => {
    const model = tinyModel()
    const { weight } = model.text.finalNorm
    weight.source = () => new Float32Array(weight.size).fill(65520)
    const write = () => [...towerFiles("text", "fp16", model).values()].map((file) => [...file.chunks()])
    expect(write).toThrow("text.finalNorm.weight holds 65520, and float16 ends at 65504")
    weight.source = () => new Float32Array(weight.size).fill(65504)
    expect(write).not.toThrow()
  })
})

describe("weights in a file of their own", () => {
  test.each(names.flatMap((tower) => (["fp32", "fp16"] as const).map((dtype) => [tower, dtype] as const)))(
    "the %s tower in %s computes what the one file does",
    async (tower, dtype) => {
      const model = filled()
      const inline = await embed(write(model, tower, dtype), tower, "all")
      const path = write(model, tower, dtype, 1000)
      expect(await embed(path, tower, "all")).toEqual(inline)
      rmSync(`${path}_data`)
      await expect(embed(path, tower, "all")).rejects.toThrow("onnx_data")
    },
  )

  test("only large models have it", () => {
    const files = (maxBytes?: number) => [...towerFiles("text", "fp32", tinyModel(), maxBytes).entries()]
    const [[, { byteLength }]] = files() as [ReturnType<typeof files>[number]]
    expect(files(byteLength).map(([file]) => file)).toEqual(["onnx/text_model.onnx"])
    expect(files(byteLength - 1).map(([file]) => file)).toEqual(["onnx/text_model.onnx", "onnx/text_model.onnx_data"])
  })
})
