import { expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { image8 } from "../core/pixels.ts"
import { Random } from "../core/random.ts"
import { Tokenizer } from "../core/tokenizer.ts"
import { type Batch, type BatchOptions, batches, stepsPerEpoch } from "./batches.ts"
import type { Picture } from "./pictures.ts"

const random = new Random(1)
const pictures: Picture[] = Array.from({ length: 10 }, (_, i) => ({
  name: `0.tar: ${i}`,
  image: image8(
    9,
    9,
    Uint8Array.from({ length: 9 * 9 * 3 }, () => random.int(256)),
  ),
  caption: `web ${i}`,
  metadata: { caption: `precise ${i}` },
}))
const options: BatchOptions = {
  batchSize: 3,
  seed: 5,
  caption: "web",
  preprocessing: { size: 8, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
  tokenizer: new Tokenizer(),
}

function take(count: number, change: Partial<BatchOptions> = {}): Batch[] {
  const generator = batches(pictures, { ...options, ...change })
  return Array.from({ length: count }, () => generator.next().value)
}

test("shapes, ranges and tokens", () => {
  const [batch] = take(1)
  expect(batch!.images).toHaveLength(3 * 3 * 8 * 8)
  expect(batch!.images.every((value) => value >= 0 && value <= 1)).toBe(true)
  expect(batch!.tokens).toEqual(options.tokenizer.encodeBatch(batch!.captions).ids)
  expect(batch!.captions).toEqual(batch!.indices.map((index) => `web ${index}`))
  expect(take(1, { contextLength: 16 })[0]!.tokens).toHaveLength(3 * 16)
})

test("an epoch shows no picture twice; epochs differ in order and crops", () => {
  const steps = take(6)
  expect(steps.map(({ step, epoch }) => [step, epoch])).toEqual([0, 0, 0, 1, 1, 1].map((epoch, step) => [step, epoch]))
  const order = (part: readonly Batch[]) => part.flatMap(({ indices }) => indices)
  expect(new Set(order(steps.slice(0, 3))).size).toBe(9)
  expect(order(steps.slice(0, 3))).not.toEqual(order(steps.slice(3)))
  const views = take(40, { batchSize: 10 }).map(({ images, indices }) => images[indices.indexOf(0) * 3 * 64])
  expect(new Set(views).size).toBeGreaterThan(20)
})

test("batches follow from the seed; going on at a step gives what was left", () => {
  const whole = take(9, { caption: "both" })
  expect(take(9, { caption: "both" })).toEqual(whole)
  for (const startStep of [2, 3, 7]) {
    expect(take(9 - startStep, { caption: "both", startStep })).toEqual(whole.slice(startStep))
  }
  expect(take(9, { caption: "both", seed: 6 })).not.toEqual(whole)
})

test("captions are the ones asked for", () => {
  const captions = (caption: "web" | "precise" | "both") => take(100, { caption }).flatMap((batch) => batch.captions)
  expect(captions("precise").every((caption) => caption.startsWith("precise"))).toBe(true)
  const web = captions("both").filter((caption) => caption.startsWith("web")).length
  expect(web).toBeGreaterThan(100)
  expect(web).toBeLessThan(200)
})

test("too few pictures, and pictures without precise captions, are errors of the user", () => {
  expect(() => stepsPerEpoch(2, 3)).toThrow(UserError)
  expect(() => take(1, { batchSize: 11 })).toThrow("10 pictures do not fill a batch of 11")
  const plain = pictures.map((picture) => ({ ...picture, metadata: null }))
  expect(() => batches(plain, { ...options, caption: "precise" }).next()).toThrow('0.tar: 0: no "caption"')
})
