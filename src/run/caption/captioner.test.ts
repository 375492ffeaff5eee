/** A small captioner, exported and loaded again, against the plain definition of the same weights in libtorch. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { noGrad, scope } from "../../../torch/index.ts"
import { Random } from "../../core/arrays/random.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { preprocess } from "../../core/image/preprocess.ts"
import { endOfText, startOfText } from "../../core/text/tokenizer.ts"
import { exportModel } from "../../export/export.ts"
import { hostValues, TorchInterpreter } from "../../tensor/torch.ts"
import { loadCaptioner, loadModel } from "../node.ts"

const { preprocessing } = tinyCocaInfo
const model = tinyCoca()
let folder: string
let captioner: Awaited<ReturnType<typeof loadCaptioner>>
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "captioner-"))
  await exportModel(model, tinyCocaInfo, join(folder, "model"))
  await exportModel(model, tinyCocaInfo, join(folder, "half"), { dtype: "fp16", layout: "plain" })
  captioner = await loadCaptioner(join(folder, "model"))
})
afterAll(async () => {
  await captioner.dispose()
  rmSync(folder, { recursive: true })
})

function picture(seed: number): Image8 {
  const random = Random.of(seed, "picture")
  const data = Uint8Array.from({ length: 40 * 36 * 3 }, () => random.int(256))
  return { width: 40, height: 36, channels: 3, data }
}

/** Logits after each token, by the plain definition: [L, vocabSize]. */
function plainLogits(image: Image8, ids: readonly number[]): Float32Array {
  const interpreter = new TorchInterpreter(model)
  const pixels = preprocess(image, preprocessing, new Float32Array(3 * 32 * 32))
  const values = scope(() =>
    noGrad(() => {
      const { tokens } = model.image.forward(interpreter.images(pixels as Float32Array, [1, 3, 32, 32]))
      return hostValues(
        interpreter.unwrap(model.logits(interpreter.tokens(BigInt64Array.from(ids, BigInt), [1, ids.length]), tokens)),
      )
    }),
  )
  interpreter.free()
  return values
}

test("greedy captions are the most likely tokens of the plain definition", async () => {
  const images = [picture(1), picture(2)]
  const captions = await captioner.captionIds(images, { generationType: "greedy", seqLen: 12, fixedOutputLength: true })
  captions.forEach(([caption], i) => {
    expect([caption![0], caption!.length]).toEqual([startOfText, 12])
    const logits = plainLogits(images[i]!, caption!)
    for (let l = 0; l + 2 < caption!.length && caption![l] !== endOfText; l++) {
      const row = logits.slice(l * 49408, (l + 1) * 49408)
      if (l + 1 < 5) row[endOfText] = Number.NEGATIVE_INFINITY
      expect(caption![l + 1]).toBe(row.indexOf(row.reduce((a, b) => Math.max(a, b))))
    }
  })
})

test("several captions of an image are those it gets alone, whatever the batch", async () => {
  const options = { generationType: "top_p", topP: 0.9, perImage: 3, seed: 7, seqLen: 10 } as const
  const together = await captioner.captionIds([picture(1), picture(2)], { ...options, keys: ["a", "b"] })
  const alone = await captioner.captionIds([picture(2)], { ...options, keys: ["b"] })
  const unpadded = (rows: readonly number[][]) => rows.map((row) => row.join(" ").replace(/( 0)+$/, ""))
  expect(unpadded(alone[0]!)).toEqual(unpadded(together[1]!))
  expect(new Set(unpadded(together[1]!)).size).toBe(3)
})

test("beam search finds a caption at least as good as the greedy one", async () => {
  const image = picture(3)
  const score = (ids: readonly number[]) => {
    const end = ids.indexOf(endOfText)
    const caption = end === -1 ? ids : ids.slice(0, end + 1)
    const logits = plainLogits(image, caption)
    return caption.slice(1).reduce((sum, id, l) => sum + logits[l * 49408 + id]!, 0) / caption.length
  }
  const options = { seqLen: 8, minSeqLen: 2 }
  const [[beam]] = (await captioner.captionIds([image], { ...options, generationType: "beam_search" })) as [[number[]]]
  const [[greedy]] = (await captioner.captionIds([image], { ...options, generationType: "greedy" })) as [[number[]]]
  // Greedy is cut at its end, where beam search may stay open: the forced token is left out.
  expect(score(beam)).toBeGreaterThanOrEqual(score(greedy.slice(0, -1)) * 0.999)
})

test("the manifest tells of the decoder, fp16 too; a model without one is not a captioner", async () => {
  expect(captioner.manifest.decoder).toEqual({ cacheWidth: 256, memoryWidth: 128, vocabSize: 49408, contextLength: 76 })
  expect(captioner.manifest.verification.decoderError).toBeLessThan(1e-4)
  await using half = await loadCaptioner(join(folder, "half"))
  expect(half.manifest.towers.decoder?.file).toBe("decoder.onnx")
  const [captions] = await half.caption([picture(1)], { generationType: "greedy", seqLen: 8 })
  expect(captions).toHaveLength(1)
  await using encoder = await loadModel(join(folder, "model"))
  expect((await encoder.encodeTexts(["a cat"])).length).toBe(32)
})
