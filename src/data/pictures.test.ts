import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { resizeAndCenterCrop } from "../core/resize.ts"
import { decodeImage } from "../host/images.ts"
import { loadPictures, trainingSide } from "./pictures.ts"
import { renderSample } from "./scenes/dataset.ts"
import { type Sample, writeShard } from "./shards.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pictures-"))
})
afterAll(() => rm(folder, { recursive: true }))

const options = { side: 24, interpolation: "bilinear" } as const

async function shard(name: string, ...samples: Sample[]): Promise<string> {
  await writeShard(join(folder, name), samples)
  return join(folder, name)
}

function sample(key: string, members: Record<string, Uint8Array | string>): Sample {
  const bytes = Object.entries(members).map(([extension, value]) => [extension, Buffer.from(value)] as const)
  return { key, members: new Map(bytes) }
}

function picture(format: "png" | "webp"): Promise<Buffer> {
  const blank = { width: 40, height: 30, channels: 3, background: "#ff0000" } as const
  return sharp({ create: blank }).toFormat(format).toBuffer()
}

test("pictures come in order, decoded, cropped, with caption and metadata", async () => {
  const samples = await Promise.all([0, 1, 2, 3, 4, 5].map((i) => renderSample(`k${i}`, 1, "train", i)))
  const first = await shard("a.tar", ...samples.slice(0, 4))
  const second = await shard("b.tar", ...samples.slice(4))
  const pictures = await loadPictures([first, second], options)
  expect(pictures.map(({ name }) => name.split(": ")[1])).toEqual(["k0", "k1", "k2", "k3", "k4", "k5"])
  for (const [i, { image, caption, metadata }] of pictures.entries()) {
    const whole = await decodeImage(samples[i]!.members.get("jpg")!)
    expect(image).toEqual(resizeAndCenterCrop(whole, 24, "bilinear"))
    expect(metadata).toMatchObject({ dataset: "scenes", web_caption: caption })
  }
})

test("any WebDataset will do: PNG or WebP, no json", async () => {
  const png = sample("a", { png: await picture("png"), txt: "one\n" })
  const webp = sample("b", { webp: await picture("webp"), txt: "two", cls: "0" })
  const pictures = await loadPictures([await shard("user.tar", png, webp)], options)
  expect(pictures.map(({ caption, metadata }) => [caption, metadata])).toEqual([
    ["one", null],
    ["two", null],
  ])
})

test("what a sample lacks, and what is damaged, is named with shard and key", async () => {
  const png = await picture("png")
  const cases: [Record<string, Uint8Array | string>, string][] = [
    [{ png }, "k: the sample has no caption (txt), only png"],
    [{ txt: "x", json: "{}" }, "k: the sample has no picture (jpg, jpeg, png, webp), only json, txt"],
    [{ jpg: "text", txt: "x" }, "k is not a picture"],
    [{ png: png.subarray(0, 60), txt: "x" }, "k is damaged or cut off"],
    [{ png, txt: "x", json: "{" }, "k: the json member is damaged"],
    [{ png, txt: "x", json: "[]" }, "k: the json member is not an object"],
  ]
  for (const [members, message] of cases) {
    const path = await shard("bad.tar", sample("ok", { png, txt: "x" }), sample("k", members), sample("l", members))
    const error: unknown = await loadPictures([path], options).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UserError)
    expect((error as UserError).message).toContain(`${path}: ${message}`)
  }
})

test("more pixels than allowed are refused", async () => {
  const png = await picture("png")
  const path = await shard("many.tar", ...["a", "b", "c"].map((key) => sample(key, { png, txt: "" })))
  expect(await loadPictures([path], { ...options, maxBytes: 3 * 3 * 24 * 24 })).toHaveLength(3)
  const tooFew = loadPictures([path], { ...options, maxBytes: 3 * 3 * 24 * 24 - 1 })
  await expect(tooFew).rejects.toThrow("the pictures do not fit in 0.0 GiB: at 24 x 24 pixels that is 2 of them")
})

test("a stop is obeyed", async () => {
  const path = await shard("stop.tar", sample("a", { png: await picture("png"), txt: "" }))
  await expect(loadPictures([path], { ...options, signal: AbortSignal.abort() })).rejects.toThrow("aborted")
})

test("the side kept for training leaves room for crops", () => {
  expect([64, 224, 256].map(trainingSide)).toEqual([72, 252, 288])
})
