/** The library in Chromium, under a strict Content-Security-Policy and without cross-origin isolation. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { softwareWebgpu, TestPage } from "../../test/browser/open-page.ts"
import { isolationHeaders, strictPolicy } from "../../test/browser/site.ts"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { exportModel } from "../export/export.ts"
import { initialize } from "../model/module.ts"
import { MobileCLIP as NodeClip } from "../weights/clip-node.ts"

let folder: string
let opened: TestPage
const at = (name: string) => join(folder, name)
const headers = { "Content-Security-Policy": strictPolicy }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "browser-"))
  await exportModel(tinyModel(), tinyInfo, at("tiny"))
  await exportModel(tinyModel(), tinyInfo, at("half"), { dtype: "fp16" })
  await exportModel(tinyCoca(), tinyCocaInfo, at("coca"))
  await exportCorrupted(at("corrupted"))
  opened = await TestPage.open({ headers, folders: { models: folder } })
})
afterAll(async () => {
  await opened?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** Files that are whole, and of other weights than those that the manifest's values came from. */
async function exportCorrupted(directory: string): Promise<void> {
  const other = tinyModel()
  initialize(other, 2)
  await exportModel(other, tinyInfo, directory)
  const path = join(directory, "mobileclip.json")
  const { selfTest }: Manifest = JSON.parse(readFileSync(at("tiny/mobileclip.json"), "utf8"))
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), selfTest }))
}

test("pictures in every form have one vector, which is Node's", async () => {
  const found = await opened.page.evaluate(async () => {
    const clip = await mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm" })
    const [width, height] = [90, 70]
    const canvas = Object.assign(document.createElement("canvas"), { width, height })
    const context = canvas.getContext("2d", { willReadFrequently: true })!
    for (let i = 0; i < 60; i++) {
      context.fillStyle = `hsl(${i * 37} 80% ${20 + i}%)`
      context.fillRect((i * 31) % width, (i * 17) % height, 30, 20)
    }
    const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!)))
    const pixels = context.getImageData(0, 0, width, height)
    const rgb = Uint8Array.from(pixels.data.filter((_, i) => i % 4 < 3))
    const offscreen = new OffscreenCanvas(width, height)
    offscreen.getContext("2d")!.drawImage(canvas, 0, 0)
    const image = new Image()
    image.src = canvas.toDataURL()
    await image.decode()
    const view = new Uint8Array([0, 0, ...new Uint8Array(await blob.arrayBuffer())]).subarray(2)
    const bitmap = await createImageBitmap(canvas)
    const frame = new VideoFrame(canvas, { timestamp: 0 })
    const pictures = [
      ...[blob, new File([blob], "picture.png"), await blob.arrayBuffer(), view, pixels, canvas, offscreen, image],
      ...[bitmap, frame, { width, height, data: pixels.data }, { width, height, channels: 3 as const, data: rgb }],
    ]
    const vectors = await clip.encodeImages(pictures)
    // What was given is still the caller's.
    const again = await clip.encodeImage(bitmap)
    const kept = [bitmap.width, frame.displayWidth, view.length > 2, pixels.data.length]
    frame.close()
    await clip.dispose()
    const rows = pictures.map((_, i) => [...vectors.subarray(i * clip.embedDim, (i + 1) * clip.embedDim)])
    return { rows, again: [...again], kept, rgb: [...rgb], width, height }
  })
  await using node = await NodeClip.load(at("tiny"))
  const { width, height, rgb } = found
  const expected = await node.encodeImage({ width, height, channels: 3, data: Uint8Array.from(rgb) })
  expect(found.rows).toHaveLength(12)
  // A video frame passes through the browser's conversion of colours; the others have the same pixels.
  for (const [i, row] of [...found.rows, found.again].entries())
    expect(difference(row, expected), `picture ${i + 1}`).toBeLessThan(i === 9 ? 2e-3 : 1e-5)
  expect(found.kept).toEqual([90, 90, true, 4 * 90 * 70])
})

test("what was chosen is in info; a tower alone", async () => {
  const found = await opened.page.evaluate(async () => {
    const stages = new Set<string>()
    const clip = await mobileclip.MobileCLIP.load(new URL("models/half/", document.baseURI), {
      towers: "text",
      onProgress: ({ stage, file }) => stages.add(`${stage} ${file}`),
    })
    const { manifest, ...info } = clip.info
    const vectors = await clip.encodeTexts(["a cat", "a dog"])
    const refused = await clip.encodeImage(new Blob()).catch((error) => error.message)
    await clip.dispose()
    const disposed = await clip.encodeText("a cat").catch((error) => error.message)
    const texts = [...vectors]
    return { info, stages: [...stages], texts, refused, disposed }
  })
  expect(found.info).toMatchObject({
    ...{ name: "tiny", towers: "text", runtime: "onnxruntime-web 1.30.0", device: "wasm", threads: 1 },
    dtype: { text: "fp16" },
    notes: [
      "this browser gives no WebGPU adapter: WASM computes",
      ...(availableParallelism() > 1 ? [expect.stringMatching(/^one thread instead of \d: the page is not/)] : []),
    ],
  })
  expect(found.stages).toContain("download onnx/text_model_fp16.onnx")
  expect(found.stages).toContain("open onnx/text_model_fp16.onnx")
  expect(found.stages.join()).not.toContain("vision")
  await using node = await NodeClip.load(at("tiny"), { towers: "text" })
  expect(difference(found.texts, await node.encodeTexts(["a cat", "a dog"]))).toBeLessThan(1e-3)
  expect(found.refused).toBe("tiny is open without its image tower")
  expect(found.disposed).toBe("tiny was disposed of")
})

test("captions, and transformers.js' pipeline", async () => {
  const found = await opened.page.evaluate(async () => {
    const picture = {
      width: 32,
      height: 32,
      channels: 3,
      data: new Uint8Array(3 * 32 * 32).map((_, i) => i % 251),
    } as const
    const clip = await mobileclip.MobileCLIP.load("models/coca/", { device: "wasm" })
    const captions = await clip.caption([picture], { generationType: "top_k", seqLen: 12, seed: 3 })
    await clip.dispose()
    const classify = await mobileclip.pipeline("zero-shot-image-classification", "models/tiny/", { device: "wasm" })
    const scores = await classify(picture, ["a cat", "a dog"])
    await classify.dispose()
    return { captions, sum: scores.reduce((sum, { score }) => sum + score, 0), data: [...picture.data] }
  })
  await using node = await NodeClip.load(at("coca"))
  const picture = { width: 32, height: 32, channels: 3, data: Uint8Array.from(found.data) } as const
  expect(found.captions).toEqual(await node.caption([picture], { generationType: "top_k", seqLen: 12, seed: 3 }))
  expect(found.sum).toBeCloseTo(1, 5)
})

const faults: readonly (readonly [string, () => Promise<unknown>, RegExp])[] = [
  ["no model there", () => mobileclip.MobileCLIP.load("models/none/"), /models\/none\//],
  [
    "an unknown device",
    () => mobileclip.MobileCLIP.load("models/tiny/", { device: "gpu" as never }),
    /^device must be one of auto, webgpu, wasm, not the text "gpu"/,
  ],
  [
    "no adapter",
    () => mobileclip.MobileCLIP.load("models/tiny/", { device: "webgpu" }),
    /^this browser gives no WebGPU adapter \| leave out device/,
  ],
  [
    "a worker that is not there",
    () =>
      mobileclip.MobileCLIP.load("models/tiny/", {
        device: "wasm",
        worker: () => new Worker("none.js", { type: "module" }),
      }),
    /could not be started/,
  ],
  [
    "a runtime that is not there",
    () => mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm", wasmPaths: "none" }),
    /cannot be loaded on wasm/,
  ],
  [
    "a controller in the place of its signal",
    () => mobileclip.MobileCLIP.load("models/tiny/", { signal: new AbortController() as never }),
    /^signal must be an AbortSignal, not .* \| write controller.signal$/,
  ],
  [
    "options that are none",
    () => mobileclip.MobileCLIP.load("models/tiny/", null as never),
    /^options must be an object/,
  ],
  [
    "a limit that is none",
    () => mobileclip.MobileCLIP.load("models/tiny/", { maxPixels: 0 }),
    /^maxPixels must be a whole number from 1 on, not the number 0/,
  ],
  [
    "an aborted load",
    () => {
      const stop = new AbortController()
      const load = mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm", signal: stop.signal })
      stop.abort()
      return load
    },
    /^(signal is|The user) aborted|aborted/,
  ],
]

test.each(faults)("%s is one clear error", async (_, load, message) => {
  expect(await opened.page.evaluate(`(${load})().then(() => "loaded", (e) => e.message + " | " + e.hint)`)).toMatch(
    message,
  )
})

describe("a picture that cannot be used is named, and the next one works", () => {
  const cases: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["empty", () => new File([], "empty.jpg"), /^empty.jpg is empty/],
    [
      "handed over",
      () => {
        const { buffer } = new Uint8Array(9)
        structuredClone(buffer, { transfer: [buffer] })
        return buffer
      },
      /^picture 2 is empty/,
    ],
    [
      "text",
      () => new Blob(["<!doctype html>"]),
      /^picture 2 is not a picture that this browser decodes, or is damaged/,
    ],
    [
      "cut off",
      async () => ((await mobileclip.models.get("jpeg")) as never as Blob).slice(0, 700),
      /^picture 2 is (cut off|not a picture)/,
    ],
    [
      "no such address",
      () => "models/none.jpg",
      /^picture 2 \(http:.*none.jpg\) cannot be fetched: the server answers 404/,
    ],
    ["another scheme", () => "file:///etc/passwd", /^picture 2 is not an address that a browser reads/],
    ["an image that is not loaded", () => new Image(), /^picture 2 has no pixels to read/],
    ["a number", () => 7, /^picture 2 is the number 7/],
    [
      "too few bytes",
      () => ({ width: 4, height: 4, channels: 3, data: new Uint8Array(5) }),
      /^picture 2 is an image of 4 x 4 pixels with 5 bytes/,
    ],
  ]

  test("one after the other", async () => {
    const messages = (await opened.page.evaluate(`(async () => {
      const clip = await mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm" })
      const canvas = new OffscreenCanvas(40, 40)
      canvas.getContext("2d").fillRect(5, 5, 9, 20)
      mobileclip.models.set("jpeg", await canvas.convertToBlob({ type: "image/jpeg" }))
      const messages = []
      for (const make of [${cases.map(([, make]) => `(${make})`)}]) {
        const picture = await make()
        messages.push(await clip.encodeImages([canvas, picture]).then(() => "encoded", (error) => error.name + ": " + error.message))
        await clip.encodeImage(mobileclip.models.get("jpeg"))
      }
      await clip.dispose()
      return messages
    })()`)) as string[]
    expect(messages).toHaveLength(cases.length)
    for (const [i, [, , message]] of cases.entries()) expect(messages[i]!.replace("UserError: ", "")).toMatch(message)
    expect(messages.every((message) => message.startsWith("UserError: "))).toBe(true)
  })
})

test("many pictures go to the worker in parts: rows keep their order, and places are those of the whole list", async () => {
  const found = await opened.page.evaluate(async () => {
    const clip = await mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm", orientation: "apply" })
    const shades = Array.from({ length: 40 }, (_, i) => ({
      ...{ width: 8, height: 8, channels: 3 as const },
      data: new Uint8Array(3 * 64).map((_, at) => (at * (i + 1)) & 255),
    }))
    const vectors = await clip.encodeImages(shades)
    const [first, last] = [await clip.encodeImage(shades[0]!), await clip.encodeImage(shades[39]!)]
    const wrong = await clip.encodeImages(shades.with(36, 7 as never)).catch((error) => error.message)
    await clip.dispose()
    return { rows: [...vectors], first: [...first], last: [...last], wrong }
  })
  expect(difference(found.first, Float32Array.from(found.rows.slice(0, 16)))).toBeLessThan(1e-5)
  expect(difference(found.last, Float32Array.from(found.rows.slice(39 * 16)))).toBeLessThan(1e-5)
  expect(found.wrong).toBe("picture 37 is the number 7")
})

test("work is stopped between batches, and the model works on", async () => {
  const found = await opened.page.evaluate(async () => {
    const clip = await mobileclip.MobileCLIP.load("models/tiny/", { device: "wasm" })
    const texts = Array.from({ length: 20_000 }, (_, i) => `text ${i}`)
    const timed = async (work: () => Promise<unknown>) => {
      const start = performance.now()
      await work()
      return performance.now() - start
    }
    const whole = await timed(() => clip.encodeTexts(texts))
    const stopped = []
    for (let time = 0; time < 3; time++) {
      const controller = new AbortController()
      const work = clip.encodeTexts(texts, { signal: controller.signal })
      setTimeout(() => controller.abort(new Error("enough")), 50)
      const reason = await work.then(
        () => "done",
        (error) => error.message,
      )
      const after = await timed(() => clip.encodeText("a cat"))
      stopped.push({ reason, share: after / whole })
    }
    await clip.dispose()
    return stopped
  })
  expect(found.map(({ reason }) => reason)).toEqual(Array(3).fill("enough"))
  // Work that goes on takes its time each time; a machine that halts does not.
  expect(Math.min(...found.map(({ share }) => share))).toBeLessThan(0.1)
})

test("with cross-origin isolation there are threads; the runtime's file may lie elsewhere, and the worker be the caller's", async () => {
  const runtime = readFileSync("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")
  await using isolated = await TestPage.open({
    headers: { ...headers, ...isolationHeaders },
    folders: { models: folder },
    files: { "elsewhere/ort-wasm-simd-threaded.wasm": runtime, "worker/ort-wasm-simd-threaded.wasm": "not a runtime" },
  })
  const found = await isolated.page.evaluate(async () => {
    const worker = () => new Worker("/worker/wasm.js", { type: "module" })
    const options = { device: "wasm", threads: 2, wasmPaths: "elsewhere", worker } as const
    const clip = await mobileclip.MobileCLIP.load("models/tiny/", options)
    const { threads, notes } = clip.info
    const { length } = await clip.encodeText("a cat")
    await clip.dispose()
    return { threads, notes, length }
  })
  expect(found).toEqual({ threads: 2, notes: [], length: 16 })
  expect(await isolated.site.violations()).toBe(0)
})

test("nothing broke the policy, in the page or a worker; what does is seen", async () => {
  expect(await opened.site.violations()).toBe(0)
  // Later, because what a test's own calls do is allowed.
  await opened.page.evaluate(() => void setTimeout(() => new Function("return 1")()))
  expect(await opened.site.violations(1)).toBe(1)
})

describe("WebGPU, computed in software", { timeout: 400_000 }, () => {
  let graphics: TestPage
  beforeAll(async () => {
    graphics = await TestPage.open({ headers, folders: { models: folder } }, softwareWebgpu)
  })
  afterAll(() => graphics?.[Symbol.asyncDispose]())

  const load = (name: string, device?: "webgpu") =>
    graphics.page.evaluate(
      async ({ name, device }) => {
        const clip = await mobileclip.MobileCLIP.load(`models/${name}/`, device ? { device, towers: "image" } : {})
        await clip.encodeImage({ width: 8, height: 8, channels: 3, data: new Uint8Array(3 * 64) })
        await clip.dispose()
        return { device: clip.info.device, note: clip.info.notes[0] }
      },
      { name, device },
    )

  test("a tower that does not give what it should is seen, said and remembered", async () => {
    const first = await load("corrupted", "webgpu")
    expect(first.device).toBe("wasm")
    expect(first.note).toMatch(/^WebGPU failed its self-test \(cosine -?0\.\d+\): WASM computes$/)
    const second = await load("corrupted", "webgpu")
    expect(second.device).toBe("wasm")
    expect(second.note).toMatch(
      /^WebGPU failed its self-test earlier \(cosine -?0\.\d+, google swiftshader\): WASM computes$/,
    )
  })

  test("without a manifest, the towers are compared with WebAssembly's", async () => {
    const found = await graphics.page.evaluate(async () => {
      const names = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"]
      const files = [...names, "onnx/vision_model.onnx", "onnx/text_model.onnx"]
      const loaded = []
      for (const model of ["tiny", "corrupted"]) {
        const fetched = files.map(
          async (name) => [name, await (await fetch(`models/${model}/${name}`)).blob()] as const,
        )
        const source = Object.fromEntries(await Promise.all(fetched))
        const clip = await mobileclip.MobileCLIP.load(source, { device: "webgpu", towers: "image" })
        await clip.dispose()
        const { device, manifest, notes } = clip.info
        loaded.push({ device, manifest, note: notes.find((note) => note.startsWith("WebGPU")) })
      }
      return loaded
    })
    // What is remembered is of the weights, by whatever names and from wherever they come: the test before has seen the second.
    expect(found).toEqual([
      { device: "webgpu", manifest: null, note: "WebGPU passed its self-test (cosine 1.0000)" },
      { device: "wasm", manifest: null, note: expect.stringMatching(/^WebGPU failed its self-test earlier/) },
    ])
  })

  test("weights in float16 need a device that has it; software is not chosen by itself", async () => {
    expect(await load("half", "webgpu")).toEqual({
      device: "wasm",
      note: "WebGPU has no float16 here (google swiftshader), and the model's weights have: WASM computes",
    })
    expect(await load("tiny")).toEqual({
      device: "wasm",
      note: "WebGPU would be computed in software (google swiftshader): WASM computes",
    })
  })

  test("a lost device is one clear error", async () => {
    const loading = graphics.page.evaluate(async () => {
      const clip = await mobileclip.MobileCLIP.load("models/tiny/", { device: "webgpu", towers: "image" })
      mobileclip.models.set("tiny", clip)
      return clip.info.notes
    })
    expect(await loading).toEqual([expect.stringMatching(/^WebGPU passed its self-test .*cosine 1.0000/)])
    const session = await graphics.page.context().browser()!.newBrowserCDPSession()
    await session.send("Browser.crashGpuProcess")
    const message = await graphics.page.evaluate(async () => {
      const clip = mobileclip.models.get("tiny")!
      const picture = { width: 8, height: 8, channels: 3, data: new Uint8Array(3 * 64) } as const
      for (let i = 0; i < 100; i++) {
        const fault = await clip.encodeImage(picture).then(
          () => null,
          (error) => error.message,
        )
        if (fault?.includes("device was lost")) return fault
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      return "not seen"
    })
    expect(message).toMatch(/^the graphics device was lost \(.+\), and the model with it$/)
  })
})

function difference(found: readonly number[], expected: Float32Array): number {
  return found.length === expected.length
    ? Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))
    : Infinity
}
