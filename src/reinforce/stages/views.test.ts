import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { datacompdrAugmentation } from "../../data/augment/config.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import { decodeImage } from "../../host/image/images.ts"
import { decodePicture } from "./picture.ts"
import { DrawnViews } from "./views.ts"

const whole = readFileSync(new URL("../../../test/fixtures/cut-off/baseline.jpg", import.meta.url))
const part = whole.subarray(0, 640)
const target = { size: 8, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] } as const

function sample(bytes: Uint8Array): ReinforcedSample {
  const nothing = {
    url: null,
    synTexts: new Map(),
    paramAug: null,
    embeddings: new Map(),
    fields: {},
    others: new Map(),
  }
  return { key: "a", image: { extension: "jpg", bytes }, texts: ["text"], ...nothing }
}

test.each([0, 1])(
  "%d threads: views of a picture that is cut off are of what is there, or it is refused",
  async (threads) => {
    const options = { config: datacompdrAugmentation, seed: 1, minImageSize: 1, threads }
    await using views = new DrawnViews(options)
    const [cut, complete] = [await views.make(sample(part), 2, [target]), await views.make(sample(whole), 2, [target])]
    expect([cut.isCutOff, complete.isCutOff]).toEqual([true, false])
    expect(cut.augmentations).toEqual(complete.augmentations)
    expect(cut.pixels).not.toEqual(complete.pixels)
    await using strict = new DrawnViews({ ...options, truncated: "refuse" })
    await expect(strict.make(sample(part), 2, [target])).rejects.toThrow("its picture is damaged or cut off")
  },
)

test("a picture for captions is decoded by the same rule", async () => {
  const expected = await decodeImage(part, { truncated: "accept" })
  expect(await decodePicture(sample(part), { minImageSize: 1 })).toEqual(expected)
  const strict = { minImageSize: 1, truncated: "refuse" } as const
  await expect(decodePicture(sample(part), strict)).rejects.toThrow("its picture is damaged or cut off")
})
