import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { fillByRule } from "../../../test/checks/models.ts"
import { killCommand } from "../../../test/kill-command.ts"
import { writeCheckpoint } from "../../../test/tiny-model.ts"
import { type Pickled, type Storage, tensorOf, torchArchive } from "../../../test/torch-archive.ts"
import { variants } from "../../core/family/variants.ts"
import { publishedFile } from "../../export/open-clip.ts"
import { lockPath } from "../../host/locks/lock.ts"
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

const writeTiny = () => writeCheckpoint(at("tiny.safetensors"))

test("every layout and type gives the same vectors", async () => {
  const source = writeTiny()
  const vectors: Float32Array[] = []
  for (const [layout, dtype] of [
    ["transformers.js", "fp32"],
    ["immich", "fp32"],
    ["plain", "fp32"],
    ["transformers.js", "fp16"],
    ["transformers.js", "mixed"],
  ] as const) {
    const out = at(`${layout}-${dtype}`)
    const { code, err } = await convert(source, "--out", out, "--layout", layout, "--dtype", dtype, "--json")
    expect(code, err).toBe(0)
    await using model = await loadModel(out)
    expect(model.manifest).toMatchObject({ layout, dtype, source: { file: "tiny.safetensors" } })
    vectors.push(await model.encodeTexts(["a cat", "two dogs"]))
  }
  const [first, immich, plain, half, mixed] = vectors
  expect(immich).toEqual(first)
  expect(plain).toEqual(first)
  expect(mixed).toEqual(first)
  expect(readdirSync(at("transformers.js-mixed", "onnx"))).toEqual(["text_model.onnx", "vision_model_fp16.onnx"])
  const largest = Math.max(...first!.map(Math.abs))
  expect(Math.max(...half!.map((value, i) => Math.abs(value - first![i]!)))).toBeLessThan(2e-2 * largest)
  expect(readdirSync(at("immich-fp32"))).toEqual(["config.json", "mobileclip.json", "textual", "visual"])
  expect(JSON.parse(readFileSync(at("immich-fp32", "visual", "preprocess_cfg.json"), "utf8"))).toMatchObject({
    size: [64, 64],
    interpolation: "bilinear",
  })
})

test("a folder as the hub delivers it is accepted, and refused with a list where it leaves a choice", async () => {
  mkdirSync(at("repository"))
  writeFileSync(at("repository", "open_clip_model.safetensors"), readFileSync(writeTiny()))
  writeFileSync(at("repository", "model.safetensors"), "a copy for transformers")
  writeFileSync(at("repository", "open_clip_config.json"), "{}")
  const { code, err } = await convert(at("repository"), "--out", at("model"))
  expect(code, err).toBe(0)
  await using model = await loadModel(at("model"))
  expect(model.manifest?.source?.file).toBe("open_clip_model.safetensors")
  mkdirSync(at("choice"))
  for (const name of ["a.pt", "b.pt"]) writeFileSync(at("choice", name), "")
  expect(await convert(at("choice"), "--out", at("other"))).toMatchObject({
    code: 1,
    err: expect.stringContaining("DIR/choice holds several files of weights: a.pt, b.pt\n  name one of them"),
  })
  expect(await convert(at("model"), "--out", at("other"))).toMatchObject({
    code: 1,
    err: expect.stringContaining(
      "DIR/model is an exported model, and weights were expected: it cannot be trained or converted\n  name the checkpoint that it was made from: DIR/repository/open_clip_model.safetensors\n",
    ),
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
    return [`module._orig_mod.${name}`, tensorOf(storage, { shape, strides })] as const
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
  expect(out).toMatch(/\nnext: {3}mobileclip classify PICTURES --model .* --labels cat,dog\n$/)
  await using model = await loadModel(at("model"))
  expect(model.manifest?.parameters).toEqual({ image: 11_357_504 })
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

test("a model replaces a model of another layout; other files are named before the work, and stay", async () => {
  const source = writeTiny()
  const out = at("mine")
  expect(await convert(source, "--out", out, "--layout", "immich")).toMatchObject({ code: 0 })
  expect(await convert(source, "--out", `${out}/`)).toMatchObject({ code: 0 })
  expect(readdirSync(out)).not.toContain("visual")

  mkdirSync(join(out, "notes"))
  for (const name of ["notes/a.txt", "onnx/b.txt", "c.txt"]) writeFileSync(join(out, name), "mine")
  const before = contentOf(out)
  // The source does not exist and is never read, because the folder is checked first.
  expect(await convert("missing.pt", "--out", out)).toEqual({
    code: 1,
    out: "",
    err: expect.stringContaining("DIR/mine has other content (c.txt, notes/, onnx/b.txt) and is not replaced"),
  })
  expect(contentOf(out)).toEqual(before)
  expect(readdirSync(folder).sort()).toEqual(["mine", "tiny.safetensors"])
})

test("a folder whose manifest cannot be read is left alone", async () => {
  const source = writeTiny()
  mkdirSync(at("mine"))
  for (const name of ["mobileclip.json", "model.onnx"]) writeFileSync(at("mine", name), "{")
  const { code, err } = await convert(source, "--out", at("mine"))
  expect([code, err]).toEqual([
    1,
    expect.stringContaining("is not replaced, because what belongs to its model is not known"),
  ])
  expect(readdirSync(at("mine"))).toEqual(["mobileclip.json", "model.onnx"])
})

test("after it was killed while writing, a second run writes the model and leaves nothing hidden", {
  timeout: 60_000,
}, async () => {
  const source = writeTiny()
  await killCommand(["convert", source, "--out", at("model")], folder, /^\.model\.[0-9a-f]{32}\.tmp/)
  expect(readdirSync(folder)).toContain(".model.lock")
  expect(await convert(source, "--out", at("model"))).toMatchObject({ code: 0 })
  expect(readdirSync(folder).sort()).toEqual(["model", "tiny.safetensors"])
  await using model = await loadModel(at("model"))
  expect(model.name).toBe("tiny")
})

test("a second process that writes the same folder is refused in a line", async () => {
  using _ = await lockPath(at("model"), "mobileclip export")
  const { code, err } = await convert(writeTiny(), "--out", at("model"))
  expect(code).toBe(1)
  expect(err).toContain(`DIR/model is in use: mobileclip export (process ${process.pid}) works there since`)
  expect(existsSync(at("model"))).toBe(false)
})

test("open_clip's files do not replace the file they are made from", async () => {
  writeFileSync(at("open_clip_model.safetensors"), readFileSync(writeTiny()))
  const { code, err } = await convert(at("open_clip_model.safetensors"), "--out", folder, "--layout", "open_clip")
  expect([code, err]).toEqual([
    1,
    expect.stringContaining("open_clip_model.safetensors would be both read and written"),
  ])
})

/** Every file with its bytes. */
function contentOf(out: string): Map<string, string> {
  const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort()
  return new Map(paths.map((path) => [path, readFileSync(path, "base64")]))
}
