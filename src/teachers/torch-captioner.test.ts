/** A checkpoint on libtorch writes what the directory that is exported from it writes. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import * as torch from "../../torch/index.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { Random } from "../core/arrays/random.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { exportModel } from "../export/export.ts"
import { compareRows } from "../export/verify.ts"
import type { Coca } from "../model/coca.ts"
import { Captioner } from "../run/caption/captioner.ts"
import { loadCaptioner } from "../run/node.ts"
import { torchCaptioner } from "./torch-captioner.ts"

let folder: string
let exported: Awaited<ReturnType<typeof loadCaptioner>>
let live: Captioner
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "torch-captioner-"))
  const model: Coca = tinyCoca()
  await exportModel(model, tinyCocaInfo, folder)
  exported = await loadCaptioner(folder)
  live = new Captioner(exported.manifest, torchCaptioner(model, tinyCocaInfo.preprocessing))
}, 60_000)
afterAll(async () => {
  await Promise.all([exported.dispose(), live.dispose()])
  rmSync(folder, { recursive: true })
})

const images = [1, 2, 3].map((seed): Image8 => {
  const random = Random.of(seed, "picture")
  return { width: 40, height: 36, channels: 3, data: Uint8Array.from({ length: 40 * 36 * 3 }, () => random.int(256)) }
})

test.each([
  ["greedy", { generationType: "greedy", seqLen: 12 }],
  ["the papers' own, several for an image", { generationType: "top_p", topP: 0.9, seqLen: 10, perImage: 3, seed: 5 }],
  ["beams", { generationType: "beam_search", seqLen: 8, minSeqLen: 2 }],
] as const)("the same ids: %s", async (_, options) => {
  expect(await live.captionIds(images, options)).toEqual(await exported.captionIds(images, options))
})

test("in bfloat16 the next tokens are as likely as in float32, with the tokens so far in a cache", async () => {
  const size = tinyCocaInfo.preprocessing.size
  const logits = async (precision: "float32" | "bfloat16") => {
    const runtime = torchCaptioner(tinyCoca(), tinyCocaInfo.preprocessing, { precision })
    using decoder = await runtime.begin({ data: inputImage(size, 1), shape: [1, 3, size, size] }, 2)
    const steps = [await decoder.step([49406, 49406], null), await decoder.step([320, 1125], null)]
    await runtime.release()
    return steps
  }
  const [exact, rounded] = [await logits("float32"), await logits("bfloat16")]
  for (const [i, expected] of exact.entries()) {
    // Eight bits of mantissa, a few layers: errors of 2^-8 a value are angles of about 0.01.
    expect(compareRows(rounded[i]!, expected, expected.length / 2).cosine).toBeGreaterThan(0.999)
    expect(rounded[i]).not.toEqual(expected)
  }
})

test("captions leave no tensors behind, finished or not", async () => {
  const before = torch.memory().liveTensors
  await live.captionIds(images, { generationType: "top_p", topP: 0.9, seqLen: 6 })
  await expect(live.captionIds(images, { generationType: "top_p", seqLen: 1 })).rejects.toThrow("seqLen is 1")
  expect(torch.memory().liveTensors).toBe(before)
})
