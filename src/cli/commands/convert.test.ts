import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { fillByRule } from "../../../test/checks/models.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { type Pickled, type Storage, tensorOf, torchArchive } from "../../../test/torch-archive.ts"
import { safetensorsChunks } from "../../core/safetensors.ts"
import { variants } from "../../core/variants.ts"
import { publishedFile } from "../../export/open-clip.ts"
import { checkpointMetadata, checkpointTensors } from "../../model/checkpoint.ts"
import { ImageEncoder } from "../../model/clip.ts"
import { loadModel } from "../../run/node.ts"
import { main } from "../main.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convert-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function convert(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["convert", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err: err.replaceAll(folder, "DIR") }
}

function writeTiny(): string {
  const chunks = [...safetensorsChunks(checkpointTensors(tinyModel()), checkpointMetadata(tinyInfo))]
  writeFileSync(at("tiny.safetensors"), Buffer.concat(chunks))
  return at("tiny.safetensors")
}

test("every layout and type gives the same vectors", async () => {
  const source = writeTiny()
  const vectors: Float32Array[] = []
  for (const [layout, dtype] of [
    ["transformers.js", "fp32"],
    ["immich", "fp32"],
    ["plain", "fp32"],
    ["transformers.js", "fp16"],
  ] as const) {
    const out = at(`${layout}-${dtype}`)
    const { code, err } = await convert(source, "--out", out, "--layout", layout, "--dtype", dtype, "--json")
    expect(code, err).toBe(0)
    await using model = await loadModel(out)
    expect(model.manifest).toMatchObject({ layout, dtype, source: { file: "tiny.safetensors" } })
    vectors.push(await model.encodeTexts(["a cat", "two dogs"]))
  }
  const [first, immich, plain, half] = vectors as [Float32Array, Float32Array, Float32Array, Float32Array]
  expect(immich).toEqual(first)
  expect(plain).toEqual(first)
  const largest = Math.max(...first.map(Math.abs))
  expect(Math.max(...half.map((value, i) => Math.abs(value - first[i]!)))).toBeLessThan(2e-2 * largest)
  expect(readdirSync(at("immich-fp32"))).toEqual(["config.json", "mobileclip.json", "textual", "visual"])
  expect(JSON.parse(readFileSync(at("immich-fp32", "visual", "preprocess_cfg.json"), "utf8"))).toMatchObject({
    size: [64, 64],
    interpolation: "bilinear",
  })
})

test("timm's image tower in a training checkpoint of torch", async () => {
  const encoder = new ImageEncoder({ ...variants["mobileclip2-s0"].model, headBias: true })
  fillByRule(encoder, "timm")
  const storages: Storage[] = []
  const tensors = publishedFile(encoder, "timm").map(({ name, dtype, shape, read }, i) => {
    const values = read() as Storage["values"]
    const storage = { key: String(i), type: dtype === "I64" ? "LongStorage" : "FloatStorage", values }
    storages.push(storage)
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1))
    return [`module.${name}`, tensorOf(storage, { shape, strides })] as const
  })
  const root = new Map<Pickled, Pickled>([
    ["epoch", 3],
    ["state_dict", new Map<Pickled, Pickled>(tensors)],
  ])
  writeFileSync(at("mobileclip2_s0.pt"), torchArchive(root, storages))
  const { code, err, out } = await convert(at("mobileclip2_s0.pt"), "--out", at("model"))
  expect(err).toContain(
    "DIR/mobileclip2_s0.pt: mobileclip2-s0, the image tower alone, in timm's names, in training form, torch",
  )
  expect([code, out]).toEqual([0, expect.stringContaining("licence apple-amlr; differs from the checkpoint by")])
  await using model = await loadModel(at("model"))
  expect(model.manifest.parameters).toEqual({ image: 11_357_504 })
  await expect(model.encodeTexts(["a cat"])).rejects.toThrow("mobileclip2-s0 has no text tower")
})

test.each([
  ["a file that is not there", ["missing.pt"], "missing.pt does not exist"],
  ["open_clip has no such tower", ["tiny", "--layout", "open_clip"], "timm has no image tower of this configuration"],
])("%s: one line, nothing written", async (_, [source, ...options], message) => {
  const path = source === "tiny" ? writeTiny() : source!
  const { code, err } = await convert(path, "--out", at("model"), ...options)
  expect(code).toBe(1)
  expect(err).toContain(message)
  expect(existsSync(at("model"))).toBe(false)
})
