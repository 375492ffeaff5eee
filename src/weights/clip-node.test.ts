/** `MobileCLIP` in Node, on small exported models: every source, every kind of picture, towers alone, and the end. */
import { createHash } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { HubServer } from "../../test/hub-server.ts"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../test/tiny-model.ts"
import { UserError } from "../core/errors.ts"
import { exportModel } from "../export/export.ts"
import {
  type ClipLoadOptions,
  decodeImage,
  type LoadProgress,
  loadModel,
  MobileCLIP,
  type NodePicture,
  pipeline,
} from "../index.ts"

import { bakeLabels } from "../run/labels/label-vectors.ts"
import { Model } from "../run/model.ts"

let folder: string
let clip: MobileCLIP
let server: Server
/** Paths that were asked for, in order. */
const asked: string[] = []
let address: string
const at = (...parts: string[]) => join(folder, ...parts)
const image = { width: 3, height: 2, channels: 3, data: Uint8Array.from({ length: 18 }, (_, i) => 13 * i) } as const
const visionFile = "onnx/vision_model.onnx"
const textFile = "onnx/text_model.onnx"

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "clip-node-"))
  const env = { XDG_CACHE_HOME: at("cache"), HF_HOME: at("hf"), HF_HUB_CACHE: "", HF_ENDPOINT: "http://127.0.0.1:9" }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  mkdirSync(at("run"))
  const file = writeCheckpoint(at("run", "model.safetensors"))
  const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex")
  await exportModel(tinyModel(), tinyInfo, at("model"), { source: { file: "model.safetensors", sha256 } })
  await exportModel(tinyCoca(), tinyCocaInfo, at("coca"))
  await sharp(image.data, { raw: { width: 3, height: 2, channels: 3 } }).toFile(at("picture.png"))
  clip = await MobileCLIP.load(at("model"), { threads: 1 })
  server = createServer((request, response) => {
    asked.push(request.url!)
    const path = at("served", request.url!)
    if (existsSync(path)) response.end(readFileSync(path))
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/tiny`
})
afterAll(async () => {
  await clip.dispose()
  await new Promise((resolve) => server.close(resolve))
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const lengths = (vectors: Float32Array) =>
  Array.from({ length: vectors.length / 16 }, (_, i) => Math.hypot(...vectors.subarray(i * 16, (i + 1) * 16)))

async function messageOf(work: () => unknown): Promise<string> {
  const error = await Promise.resolve()
    .then(work)
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  const { message, hint } = error as UserError
  return hint === undefined ? message : `${message} | ${hint}`
}

test("vectors have length 1, or are as the tower gives them: those of Model", async () => {
  await using model = await loadModel(at("model"), { threads: 1 })
  const texts = ["a cat", "two dogs"]
  const plain = await clip.encodeTexts(texts, { normalize: false })
  expect(plain).toEqual(await model.encodeTexts(texts))
  expect(await clip.encodeImages([image], { normalize: false })).toEqual(await model.encodeImages([image]))
  // A float32 has 24 bits: the square root of 16 rounded squares is within 1e-6 of 1.
  for (const length of lengths(await clip.encodeTexts(texts))) expect(length).toBeCloseTo(1, 6)
  for (const length of lengths(await clip.encodeImages([image, image]))) expect(length).toBeCloseTo(1, 6)
  expect(await clip.encodeText("a cat")).toEqual(await clip.encodeTexts(["a cat"]))
  expect(await clip.encodeImage(image)).toEqual(await clip.encodeImages([image]))
  expect(await clip.encodeImages([])).toEqual(new Float32Array(0))
  const before = plain.slice()
  expect(clip.similarity(plain, plain)[0]).toBeCloseTo(1, 6)
  // What is given stays the caller's.
  expect(plain).toEqual(before)
})

test("every kind of picture is the same picture, in mixed lists too, in order", async () => {
  const png = readFileSync(at("picture.png"))
  const rgba = new Uint8ClampedArray(24).map((_, i) => (i % 4 === 3 ? i : image.data[3 * (i >> 2) + (i % 4)]!))
  const black = { ...image, data: new Uint8Array(18) }
  const pictures: NodePicture[] = [
    at("picture.png"),
    black,
    pathToFileURL(at("picture.png")),
    pathToFileURL(at("picture.png")).href,
    `data:image/png;base64,${png.toString("base64")}`,
    png,
    new Uint8Array(png),
    new Uint8Array(png).buffer,
    new Blob([png]),
    new File([png], "picture.png"),
    { width: 3, height: 2, data: rgba },
    image,
  ]
  const vectors = await clip.encodeImages(pictures)
  const [own, other] = [await clip.encodeImage(image), await clip.encodeImage(black)]
  for (const [i] of pictures.entries()) {
    const [cosine] = clip.similarity(vectors.slice(i * 16, (i + 1) * 16), i === 1 ? other : own)
    // The same pixels in a batch of another size: sums of float32 in another order.
    expect(cosine, `picture ${i + 1}`).toBeGreaterThan(1 - 1e-6)
  }
  expect(clip.similarity(own, other)[0]).toBeLessThan(1 - 1e-4)
})

test("files are turned as their cameras noted, and refused where they are large, as was said at loading", async () => {
  const [width, height] = [60, 40]
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7) % 251)
  const pixels = sharp(data, { raw: { width, height, channels: 3 } })
  const lossless = { quality: 100, chromaSubsampling: "4:4:4" }
  const turned = await pixels.clone().withMetadata({ orientation: 6 }).jpeg(lossless).toBuffer()
  const options = { threads: 1, orientation: "apply", maxPixels: width * height } as const
  await using applying = await MobileCLIP.load(at("model"), options)
  const decodedAs = async (exif: "apply" | "ignore") => decodeImage(turned, { exif })
  for (const [model, exif] of [[applying, "apply"] as const, [clip, "ignore"] as const]) {
    const [found, wanted] = [await model.encodeImage(turned), await clip.encodeImage(await decodedAs(exif))]
    expect(clip.similarity(found, wanted)[0]).toBeGreaterThan(1 - 1e-6)
  }
  expect(await applying.encodeImage(turned)).not.toEqual(await clip.encodeImage(turned))
  await expect(applying.encodeImage(await pixels.resize(61, 40).png().toBuffer())).rejects.toThrow(
    "picture 1 has 61 x 40 pixels, more than the limit of 2,400",
  )
})

const wrong: Readonly<Record<string, [call: () => unknown, message: string]>> = {
  "one picture for a list": [
    () => clip.encodeImages("cat.jpg" as never),
    'pictures must be a list of pictures, not the text "cat.jpg" | write [picture]',
  ],
  "a picture that was not awaited": [
    () => clip.encodeImages([image, Promise.resolve(image)] as never),
    "picture 2 is a promise (await it) | give a path, a file: URL, bytes, a Blob, ImageData, or { width, height, channels: 3, data } with RGB bytes",
  ],
  "no picture": [
    () => clip.encodeImage(undefined as never),
    "picture 1 is undefined | give a path, a file: URL, bytes, a Blob, ImageData, or { width, height, channels: 3, data } with RGB bytes",
  ],
  "an address": [
    () => clip.encodeImage("https://example.com/cat.jpg"),
    "picture 1 is an address: pictures are not downloaded | give its bytes: await (await fetch(address)).blob()",
  ],
  "base64 without what a data: URI begins with": [
    () => clip.encodeImage(Buffer.alloc(6000, 7).toString("base64")),
    'picture 1 is a text of 8000 letters, which is no path | where it is base64, give Buffer.from(text, "base64"), or write "data:image/jpeg;base64," before it',
  ],
  "a data: URI of text": [
    () => clip.encodeImage("data:text/plain,cat"),
    "picture 1 is a data: URI that is not in base64 | write data:image/png;base64,...",
  ],
  "a file: URL of another machine": [
    () => clip.encodeImage("file://host/cat.jpg"),
    "picture 1 is a file: URL that names no file of this machine | write file:///folder/name",
  ],
  "bytes that are no picture": [
    () => clip.encodeImages([image, Buffer.from("cat")]),
    "picture 2 is not a picture | JPEG, PNG, WebP, AVIF, HEIC, TIFF and GIF files are",
  ],
  "pixels that were cut": [
    () => clip.encodeImage({ ...image, data: new Uint8Array(17) }),
    "picture 1 is an image of 3 x 2 pixels with 17 bytes in all; 3 bytes for each were expected | give a path, a file: URL, bytes, a Blob, ImageData, or { width, height, channels: 3, data } with RGB bytes",
  ],
  "one text for a list": [
    () => clip.encodeTexts("a cat" as never),
    'texts must be a list of texts, not the text "a cat" | write ["a photo of a cat"]',
  ],
  "a number for a text": [
    () => clip.encodeText(7 as never),
    'a text was expected, not the number 7 | write "a photo of a cat"',
  ],
  "labels in one text": [
    () => clip.classify([image], "cat,dog" as never),
    'labels must be a list of texts, not the text "cat,dog" | write ["cat", "dog"]',
  ],
  "no labels": [() => clip.classify([image], []), "there are no labels to choose from | give at least one"],
  "an empty label": [() => clip.classify([image], "cat,dog,".split(",")), "labels: number 3 is empty | leave it out"],
  "other templates than label vectors have": [
    async () => clip.classify([image], await clip.bakeLabels(["cat"]), { templates: ["my {}"] }),
    "templates were given with label vectors, which were made with other ones | leave templates out, or make the vectors again with them",
  ],
  "an option by another name": [
    () => clip.classify([image], ["cat"], { template: "my {}" } as never),
    'there is no option "template" | options are templates, top, signal',
  ],
  "the other spelling of normalize": [
    () => clip.encodeText("a cat", { normalise: false } as never),
    'there is no option "normalise" | options are normalize, signal',
  ],
  "half a label": [
    () => clip.classify([image], ["cat"], { top: 0.5 }),
    "top must be a whole number from 1 on, not the number 0.5",
  ],
  "one picture to classify": [
    () => clip.classify(image as never, ["cat"]),
    "pictures must be a list of pictures, not an object | write [picture]",
  ],
  "a template without a place": [
    () => clip.classify([image], ["cat"], { templates: ["a cat"] }),
    'the template "a cat" has no {} | write {} where the label goes: "a photo of a {}."',
  ],
  "an object for label vectors": [
    () => clip.classifier({ labels: ["cat"] } as never),
    "labels must be a list of texts, or label vectors, not an object | give labels, or what `bakeLabels` gives",
  ],
  "a vector of another model": [
    () => clip.similarity(new Float32Array(16), new Float32Array(15)),
    "vectors must be a Float32Array of rows of 16 values, not 15 values | give what encodeImages and encodeTexts give",
  ],
  "a list for a vector": [
    () => clip.similarity([1, 2] as never, new Float32Array(16)),
    "vectors must be a Float32Array of rows of 16 values, not a list | give what encodeImages and encodeTexts give",
  ],
  "a caption of a model without a decoder": [
    () => clip.caption([image]),
    "tiny is not a captioner: it has no decoder | use a CoCa model",
  ],
  "another task": [
    () => pipeline("text-generation" as never, at("model")),
    'there is no pipeline for text-generation | "zero-shot-image-classification" is the one',
  ],
  "a model of no kind": [
    () => MobileCLIP.load(undefined as never),
    'a model was expected, not undefined | give a name, a folder, an address, or files: { "mobileclip.json": bytes, "onnx/vision_model.onnx": bytes, ... }',
  ],
  "a model of another machine": [
    () => MobileCLIP.load(new URL("file://host/model")),
    "the model is a file: URL that names no file of this machine | write file:///folder/name",
  ],
  "bytes for a set of files": [
    () => MobileCLIP.load(new Uint8Array(3) as never),
    'a model was expected, not a value of type Uint8Array | give a name, a folder, an address, or files: { "mobileclip.json": bytes, "onnx/vision_model.onnx": bytes, ... }',
  ],
  "no files": [
    () => MobileCLIP.load({}),
    'a model was expected, not an empty set of files | give a name, a folder, an address, or files: { "mobileclip.json": bytes, "onnx/vision_model.onnx": bytes, ... }',
  ],
  "a path as a file": [
    () => MobileCLIP.load({ "mobileclip.json": "model/mobileclip.json" as never }),
    'the model\'s file mobileclip.json is the text "model/mobileclip.json" | give its bytes or a Blob',
  ],
  "a device of no kind": [
    () => MobileCLIP.load(at("model"), { device: "gpu" } as never),
    'device must be one of cpu, cuda, coreml, dml, webgpu, not the text "gpu"',
  ],
  "a type of another library": [
    () => MobileCLIP.load(at("model"), { dtype: "q8" } as never),
    'dtype must be one of fp32, fp16, not the text "q8"',
  ],
  "half a thread": [
    () => MobileCLIP.load(at("model"), { threads: 0.5 }),
    "threads must be a whole number from 1 on, not the number 0.5",
  ],
  "towers of no kind": [
    () => MobileCLIP.load(at("model"), { towers: "vision" } as never),
    'towers must be one of both, image, text, not the text "vision"',
  ],
}

test.each(Object.entries(wrong))("%s is one line that says what was expected", async (_, [call, message]) => {
  expect(await messageOf(call)).toBe(message)
})

test("classify keeps labels' vectors, and gives the best labels among all", async () => {
  const [all] = await clip.classify([image], ["cat", "dog", "house"])
  expect(all).toHaveLength(3)
  expect(all!.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 5)
  expect(await clip.classify([image], ["cat", "dog", "house"], { top: 1 })).toEqual([all!.slice(0, 1)])
  const pipe = await pipeline("zero-shot-image-classification", at("model"), { threads: 1 })
  const options = { hypothesis_template: "a photo of a {}." }
  const expected = all!.map(({ score, label }) => ({ score, label }))
  expect(await pipe(at("picture.png"), ["cat", "dog", "house"], options)).toEqual(expected)
  const both = await pipe([image, at("picture.png")], ["cat", "dog", "house"], options)
  expect(both.map((scores) => scores.map(({ label }) => label))).toEqual(
    Array(2).fill(expected.map(({ label }) => label)),
  )
  // The words that transformers.js puts labels into.
  const [own] = await clip.classify([image], ["cat", "dog"], { templates: ["This is a photo of {}"] })
  expect((await pipe(image, ["cat", "dog"])).map(({ score }) => score)).toEqual(own!.map(({ score }) => score))
  await pipe.dispose()
})

test("one tower alone: the file of the other is not needed, and using it is one clear line", async () => {
  for (const [towers, missing] of [["image", textFile] as const, ["text", visionFile] as const]) {
    cpSync(at("model"), at(towers), { recursive: true })
    rmSync(at(towers, missing))
    await using half = await MobileCLIP.load(at(towers), { towers, threads: 1 })
    expect(Object.keys(half.info.dtype)).toEqual([towers])
    const [image_, text] = [() => half.encodeImage(image), () => half.encodeText("a cat")]
    const [works, fails] = towers === "image" ? [image_, text] : [text, image_]
    expect(await works()).toEqual(await (towers === "image" ? clip.encodeImage(image) : clip.encodeText("a cat")))
    const other = towers === "image" ? "text" : "image"
    expect(await messageOf(fails)).toBe(`tiny is open without its ${other} tower | load it with towers: "both"`)
    expect(await messageOf(() => MobileCLIP.load(at(towers)))).toContain(`${missing} is missing`)
  }
})

test("the layouts of others: towers alone there too, and what their files do not say is null", async () => {
  cpSync(at("model"), at("transformers"), { recursive: true })
  rmSync(at("transformers", "mobileclip.json"))
  await exportModel(tinyModel(), tinyInfo, at("immich"), { layout: "immich" })
  rmSync(at("immich", "mobileclip.json"))
  const files = {
    transformers: { image: visionFile, text: textFile },
    immich: { image: "visual/model.onnx", text: "textual/model.onnx" },
  }
  for (const [layout, towers] of Object.entries(files)) {
    await using whole = await MobileCLIP.load(at(layout), { threads: 1 })
    expect(whole.info).toMatchObject({ name: layout, embedDim: 16, manifest: null, logitScale: null, license: null })
    const cosines = async (model: MobileCLIP) =>
      (await model.classify([image], ["cat", "dog"]))[0]!.map(({ label, cosine }) => [label, cosine.toFixed(5)])
    expect(await cosines(whole)).toEqual(await cosines(clip))
    renameSync(at(layout, towers.text), at("text.away"))
    await using images = await MobileCLIP.load(at(layout), { towers: "image", threads: 1 })
    expect(await images.encodeImage(image)).toEqual(await whole.encodeImage(image))
    expect([images.info.contextLength, images.info.dtype]).toEqual([null, { image: "fp32" }])
    renameSync(at("text.away"), at(layout, towers.text))
    rmSync(at(layout, towers.image))
    await using texts = await MobileCLIP.load(at(layout), { towers: "text", threads: 1 })
    expect(await texts.encodeText("a cat")).toEqual(await whole.encodeText("a cat"))
  }
})

test("labels' vectors are kept for the next run, whichever way the model is opened, and not with cache: false", async () => {
  const labels = Array.from({ length: 60 }, (_, i) => `label ${i}`)
  const options = { templates: ["{}", "a {}", "the {}"] }
  const encode = vi.spyOn(Model.prototype, "encodeTexts")
  const encoded = () => encode.mock.calls.splice(0).reduce((sum, [texts]) => sum + texts.length, 0)
  const baked = async (loading: ClipLoadOptions) => {
    await using model = await MobileCLIP.load(at("model"), { threads: 1, ...loading })
    const { vectors } = await model.bakeLabels(labels, options)
    return { vectors, encoded: encoded() }
  }
  const [without, first, second] = [await baked({ cache: false }), await baked({}), await baked({})]
  expect([without.encoded, first.encoded, second.encoded]).toEqual([180, 180, 0])
  for (const { vectors } of [first, second]) expect(vectors).toEqual(without.vectors)
  await using opened = await loadModel(at("model"), { threads: 1 })
  expect((await bakeLabels(opened, labels, options.templates)).vectors).toEqual(without.vectors)
  expect(encoded()).toBe(0)
  await using model = await MobileCLIP.load(at("model"), { threads: 1 })
  const classifier = await model.classifier(labels.slice(0, 20), options)
  await classifier.add([...labels, ...labels.map((label) => `${label} more`)])
  expect(encoded()).toBe(180)
  expect(await messageOf(() => MobileCLIP.load(at("model"), { cache: "no" as unknown as boolean }))).toBe(
    'cache must be true or false, not the text "no"',
  )
  encode.mockRestore()
})

test("label vectors are data: a classifier is made of them by the image tower alone, of the same weights only", async () => {
  const baked = await clip.bakeLabels(["cat", "dog"])
  await using half = await MobileCLIP.load(at("image"), { towers: "image", threads: 1 })
  const [expected] = await clip.classify([image], ["cat", "dog"])
  const classifier = await half.classifier(structuredClone(baked))
  expect((await classifier.classify([image]))[0]).toEqual(expected)
  expect(await messageOf(() => classifier.add(["house"]))).toBe(
    'tiny is open without its text tower | load it with towers: "both"',
  )
  classifier.remove(["cat"])
  expect((await classifier.classify([image]))[0]!.map(({ label }) => label)).toEqual(["dog"])
  const refused = (change: object) => messageOf(() => half.classifier({ ...baked, ...change }))
  const again = "make the vectors again with this model"
  expect(await refused({ weights: "0".repeat(64) })).toBe(
    `the label vectors were made by other weights of tiny, and this model is tiny | ${again}`,
  )
  expect(await refused({ weights: null, model: "other" })).toBe(
    `the label vectors were made by other, and this model is tiny | ${again}`,
  )
  expect(await refused({ embedDim: 8 })).toBe(
    `the label vectors have 32 values for 2 labels, and the model's are 16 wide | ${again}`,
  )
})

test("a run, a file of weights, a file: URL and a set of files are the same model; what was written for it is removed", async () => {
  const names = readdirSync(at("model"), { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name))
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(at("model", name))]))
  const chosen = names.map((name) => new File([files[name]!], name))
  const expected = await clip.encodeTexts(["a cat"])
  // Other processes open models, too.
  mkdirSync(at("temporary"))
  const { TMPDIR } = process.env
  vi.stubEnv("TMPDIR", at("temporary"))
  for (const source of [at("run"), at("run", "model.safetensors"), pathToFileURL(at("model")), files, chosen]) {
    await using loaded = await MobileCLIP.load(source, { threads: 1 })
    expect(await loaded.encodeTexts(["a cat"])).toEqual(expected)
  }
  const cut = { ...files, [visionFile]: files[visionFile]!.subarray(9) }
  expect(await messageOf(() => MobileCLIP.load(cut))).toMatch(/vision_model\.onnx has \d+ bytes, and mobileclip\.json/)
  expect(readdirSync(at("temporary"))).toEqual([])
  vi.stubEnv("TMPDIR", TMPDIR)
})

test("an address is downloaded once, tower by tower, and what is damaged is not kept", async () => {
  cpSync(at("model"), at("served/models/tiny"), { recursive: true })
  const progress: LoadProgress[] = []
  const load = (options: ClipLoadOptions) =>
    MobileCLIP.load(address, { threads: 1, onProgress: (one) => progress.push(one), ...options })
  await (await load({ towers: "text" })).dispose()
  expect(asked).toContain(`/models/tiny/${textFile}`)
  expect(asked).not.toContain(`/models/tiny/${visionFile}`)
  expect(progress.filter(({ from }) => from === "network").at(-1)!.loaded).toBeGreaterThan(0)
  await (await load({})).dispose()
  expect(asked.filter((path) => path.endsWith(".onnx"))).toEqual([
    `/models/tiny/${textFile}`,
    `/models/tiny/${visionFile}`,
  ])
  progress.length = 0
  await using again = await load({})
  expect(await again.encodeText("a cat")).toEqual(await clip.encodeText("a cat"))
  expect(new Set(progress.map(({ from }) => from))).toEqual(new Set(["cache", "disk"]))
  await (await load({ offline: true })).dispose()
  expect(await messageOf(() => MobileCLIP.load(`${address}/other`, { offline: true }))).toContain(
    "is not in the cache, and nothing may be downloaded",
  )
})

test("a server that has something else: its page, a file of another content, nothing", async () => {
  const served = at("served/models/damaged")
  cpSync(at("model"), served, { recursive: true })
  const damaged = address.replace(/tiny$/, "damaged")
  const text = readFileSync(join(served, "mobileclip.json"), "utf8")
  // Another manifest, so that nothing of it is in the cache.
  writeFileSync(join(served, "mobileclip.json"), `${text} `)
  const bytes = readFileSync(join(served, textFile))
  bytes[99]! ^= 1
  writeFileSync(join(served, textFile), bytes)
  expect(await messageOf(() => MobileCLIP.load(damaged, { towers: "text" }))).toMatch(
    /^onnx\/text_model\.onnx arrived damaged: its sha256 is [0-9a-f]{64}, expected /,
  )
  const names = readdirSync(at("cache/mobileclip/models"), { recursive: true, encoding: "utf8" })
  const [folderOfDamaged] = names.filter((name) => /^tiny-\w+$/.test(name) && !names.includes(join(name, textFile)))
  expect(existsSync(at("cache/mobileclip/models", folderOfDamaged!, "mobileclip.json"))).toBe(false)
  writeFileSync(join(served, "mobileclip.json"), "<!DOCTYPE html><title>A page</title>")
  expect(await messageOf(() => MobileCLIP.load(damaged))).toMatch(
    /mobileclip\.json is not JSON, but begins with "<!DOCTYPE html><title>A page<\/title>" \| an address is that of a folder/,
  )
  expect(await messageOf(() => MobileCLIP.load(`${address}/none`))).toMatch(/^there is no http:.*\(404\) \| an address/)
  const withPassword = address.replace("//", "//user:secret@")
  expect(await messageOf(() => MobileCLIP.load(withPassword))).not.toContain("secret")
})

test("a name is pulled when it is not there, one tower where the layout has it apart, and not asked for again", async () => {
  const names = readdirSync(at("model"), { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name))
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(at("model", name))]))
  await using hub = await HubServer.start({ "me/tiny": { commit: "a".repeat(40), files } })
  vi.stubEnv("HF_ENDPOINT", hub.endpoint)
  expect(await messageOf(() => MobileCLIP.load("hf-hub:me/tiny", { offline: true }))).toMatch(
    /^hf-hub:me\/tiny is not on/,
  )
  expect(hub.log).toEqual([])
  const progress: LoadProgress[] = []
  const load = (options: ClipLoadOptions) =>
    MobileCLIP.load("hf-hub:me/tiny", { threads: 1, onProgress: (one) => progress.push(one), ...options })
  await (await load({ towers: "image" })).dispose()
  expect(hub.log.filter(({ path }) => path.endsWith(textFile))).toEqual([])
  expect(progress.some(({ stage, from }) => stage === "download" && from === "network")).toBe(true)
  await using both = await load({})
  expect(await both.encodeText("a cat")).toEqual(await clip.encodeText("a cat"))
  const requests = hub.log.length
  await (await load({ towers: "text" })).dispose()
  await (await load({ offline: true })).dispose()
  expect(hub.log).toHaveLength(requests)
})

test("a captioner captions pictures of any kind, and encodes on the same image tower", async () => {
  await using captioner = await MobileCLIP.load(at("coca"), { threads: 1 })
  const captions = await captioner.caption([at("picture.png"), image], { seqLen: 8, generationType: "greedy" })
  expect(captions[0]).toEqual(captions[1])
  const options = { seqLen: 8, generationType: "top_p", seed: 3 } as const
  const pictures = Array.from({ length: 6 }, () => image)
  const keys = ["a", "b", "c", "d", "e", "f"]
  const all = await captioner.caption(pictures, { ...options, keys })
  expect(await captioner.caption([image], { ...options, keys: ["f"] })).toEqual(all.slice(5))
  expect(await messageOf(() => captioner.caption(pictures, { keys: ["a"] }))).toBe("1 keys were given for 6 images")
  expect(await messageOf(() => captioner.caption([image], { generationType: "nucleus" as never }))).toBe(
    'generationType must be one of top_p, top_k, greedy, beam_search, not the text "nucleus"',
  )
  expect(await captioner.encodeImage(image)).toHaveLength(captioner.embedDim)
})

test("info says what computes; dispose waits for what is under way, twice is as once, and use after it is one line", async () => {
  const loaded = await MobileCLIP.load(at("model"), { threads: 1 })
  expect(loaded.info).toMatchObject({
    ...{ name: "tiny", embedDim: 16, contextLength: 77, license: "MIT", towers: "both", device: "cpu", threads: 1 },
    runtime: expect.stringMatching(/^onnxruntime-node \d/),
    dtype: { image: "fp32", text: "fp32" },
  })
  const classifier = await loaded.classifier(["cat", "dog"])
  const underWay = loaded.encodeTexts(["a cat"])
  await Promise.all([loaded.dispose(), loaded.dispose()])
  expect(await underWay).toHaveLength(16)
  await loaded.dispose()
  const line = "tiny was disposed of | load it again, or dispose of it later"
  expect(await messageOf(() => loaded.encodeText("a cat"))).toBe(line)
  expect(await messageOf(() => loaded.classify([image], ["cat"]))).toBe(line)
  expect(await messageOf(() => classifier.classify([image]))).toBe(line)
})

test("an abort ends loading and encoding with its reason", async () => {
  const signal = AbortSignal.abort(new Error("enough"))
  await expect(MobileCLIP.load(at("model"), { signal })).rejects.toThrow("enough")
  await expect(clip.encodeTexts(["a cat"], { signal })).rejects.toThrow("enough")
  await expect(clip.classify([image], ["a", "b"], { signal })).rejects.toThrow("enough")
  const controller = new AbortController()
  const texts = Array.from({ length: 200 }, (_, i) => `text ${i}`)
  const work = clip.encodeTexts(texts, { signal: controller.signal })
  controller.abort(new Error("enough"))
  await expect(work).rejects.toThrow("enough")
})

test("where the server cannot be reached, what was downloaded from it last is taken", async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await using kept = await MobileCLIP.load(address, { threads: 1 })
  expect(await kept.encodeText("a cat")).toEqual(await clip.encodeText("a cat"))
})
