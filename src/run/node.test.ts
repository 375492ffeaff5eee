/** What a model directory names stays in it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { UserError } from "../core/errors.ts"
import { type Manifest, manifestFile } from "../core/inference/manifest.ts"
import { exportModel } from "../export/export.ts"
import { type EncodedFile, encodeModel } from "../tensor/onnx-proto.ts"
import { loadModel } from "./node.ts"
import { OnnxGraph } from "./session.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "node-"))
  await exportModel(tinyModel(), tinyInfo, at("model"))
  cpSync(at("model", "onnx", "vision_model.onnx"), at("outside.onnx"))
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each(["../outside.onnx", "onnx/../../outside.onnx", "/etc/passwd", "C:\\outside.onnx"])(
  "a manifest that names %j is refused",
  async (file) => {
    const manifest = JSON.parse(readFileSync(at("model", manifestFile), "utf8")) as Manifest
    const { bytes, sha256 } = manifest.files["onnx/vision_model.onnx"]!
    const listed = { ...manifest, files: { ...manifest.files, [file]: { bytes, sha256 } } }
    const used = { ...manifest, towers: { ...manifest.towers, image: { ...manifest.towers.image, file } } }
    for (const changed of [listed, used]) {
      cpSync(at("model"), at("changed"), { recursive: true })
      writeFileSync(at("changed", manifestFile), JSON.stringify(changed))
      const error: unknown = await loadModel(at("changed")).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(UserError)
      expect((error as Error).message).toMatch(/is not a model manifest .* (files|towers).*/)
    }
  },
)

test.each([
  ["of another width", { embedDim: 17 }, "onnx/text_model.onnx gives embeddings of 16 values, and the model's have 17"],
  ["without the named output", { towers: { output: "pooled" } }, 'onnx/text_model.onnx has no output "pooled"'],
])("a tower %s is told when it is used", async (_, { towers, ...fields }: Changes, message) => {
  cpSync(at("model"), at("differing"), { recursive: true })
  const manifest = JSON.parse(readFileSync(at("model", manifestFile), "utf8")) as Manifest
  const text = { ...manifest.towers.text, ...towers }
  const changed = { ...manifest, ...fields, towers: { ...manifest.towers, text } }
  writeFileSync(at("differing", manifestFile), JSON.stringify(changed))
  await using model = await loadModel(at("differing"), { threads: 1 })
  await expect(model.encodeTexts(["a cat"])).rejects.toThrow(message)
})

type Changes = { readonly embedDim?: number; readonly towers?: { readonly output: string } }

test("a tower is read when it is first used, and a model can be let go of twice", async () => {
  cpSync(at("model"), at("lazy"), { recursive: true })
  const model = await loadModel(at("lazy"), { threads: 1 })
  rmSync(at("lazy", "onnx", "vision_model.onnx"))
  expect(await model.encodeTexts([])).toEqual(new Float32Array(0))
  expect(await model.encodeTexts(["a cat", "a dog"])).toHaveLength(32)
  await expect(model.encodePixels(new Float32Array(3 * 64 * 64), 1)).rejects.toThrow("cannot be loaded")
  await Promise.all([model.dispose(), model.dispose()])
})

test.each(["../weights", "/etc/hostname", "onnx/../../weights"])("weights at %j are not read", async (location) => {
  const graph = {
    name: "graph",
    nodes: [{ name: "sum", opType: "Add", inputs: ["x", "w"], outputs: ["y"], attributes: {} }],
    inputs: [{ name: "x", dtype: "float32" as const, shape: [1024] }],
    outputs: [{ name: "y", dtype: "float32" as const, shape: [1024] }],
    initializers: [{ name: "w", dtype: "float32" as const, dims: [1024], read: () => new Float32Array(1024) }],
  }
  const model = { producer: "test", opset: 17, metadata: {}, graph }
  const write = (name: string, dataFile: string) => {
    const encoded = encodeModel(model, { dataFile, maxBytes: 100 })
    writeFileSync(at("model", name), bytesOf(encoded))
    return bytesOf(encoded.external!)
  }
  const weights = write("sound.onnx", "weights")
  for (const path of [at("weights"), at("model", "weights")]) writeFileSync(path, weights)
  const opened = (name: string) => new OnnxGraph(at("model"), name, { intraOpNumThreads: 1 }).ports()
  expect((await opened("sound.onnx")).outputs).toEqual([{ name: "y", type: "float32", shape: [1024] }])
  write("leading-out.onnx", location)
  await expect(opened("leading-out.onnx")).rejects.toThrow(
    /leading-out\.onnx cannot be loaded on "cpu": .*(escapes model directory|Absolute path not allowed)/,
  )
})

function bytesOf(file: EncodedFile): Buffer {
  return Buffer.concat([...file.chunks()].map((chunk) => Uint8Array.from(chunk)))
}
