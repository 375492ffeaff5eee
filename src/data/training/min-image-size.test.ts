import { rm } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { pictureSamples, temporaryFolder, trainingConfig, writeSamples } from "../../../test/training-samples.ts"
import { decodeImage } from "../../host/image/images.ts"
import { openTrainingData } from "./training-data.ts"

const steps = 10

/** Captions seen in so many steps of 4, and what was counted. */
async function seen(path: string, changes: Parameters<typeof trainingConfig>[1]) {
  const data = await openTrainingData(trainingConfig(path, { view: "center", ...changes }))
  const ids = new Set<string>()
  let step = 0
  for await (const { tokens } of data.batches(0)) {
    for (let row = 0; row < 4; row++) ids.add(tokens.subarray(row * 20, (row + 1) * 20).join())
    if (++step === steps) break
  }
  const { count, passedOver } = data.bad
  await data.close()
  return { captions: ids.size, count, passedOver }
}

test("pictures narrower or lower than asked for are passed over: counted apart, and not as bad ones", async () => {
  const folder = await temporaryFolder()
  const samples = (await pictureSamples(16)).map((sample) => ({ ...sample, texts: sample.texts.slice(0, 1) }))
  const path = await writeSamples(join(folder, "0.tar"), samples)
  const sizes = await Promise.all(samples.map(({ image }) => decodeImage(image!.bytes)))
  const shorter = sizes.map(({ width, height }) => Math.min(width, height)).sort((a, b) => a - b)
  const limit = shorter[8]!
  const small = shorter.filter((side) => side < limit).length
  expect(small).toBeGreaterThan(2)
  for (const workers of [0, 1])
    expect(await seen(path, { minImageSize: limit, workers })).toEqual({
      captions: 16 - small,
      count: 0,
      passedOver: small,
    })
  expect(await seen(path, {})).toEqual({ captions: 16, count: 0, passedOver: 0 })
  // Nothing is left.
  await expect(seen(path, { minImageSize: 100 })).rejects.toThrow("hardly any sample can be used")
  await expect(seen(path, { minImageSize: 0 })).rejects.toThrow("minImageSize is 0, and a whole number from 1 on")
  await rm(folder, { recursive: true })
})
