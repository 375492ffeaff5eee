import { expect, test } from "vitest"
import { type Image8, image8 } from "../core/image/pixels.ts"
import { KeptPictures } from "./kept-pictures.ts"

/** Pictures of one column and so many rows: 3 bytes each. */
function source(heights: readonly number[]) {
  const decoded: number[] = []
  const decode = async function* (from: number) {
    for (const [i, height] of heights.entries()) {
      if (i < from) continue
      decoded.push(i)
      yield image8(1, height, new Uint8Array(3 * height).fill(i))
    }
  }
  return { decode, decoded }
}

async function walk(pictures: KeptPictures, most = Number.POSITIVE_INFINITY): Promise<number[]> {
  const seen: Image8[] = []
  for await (const image of pictures.all()) if (seen.push(image) === most) break
  return seen.map(({ data }) => data[0]!)
}

test("the first pictures are kept as far as there is room, and the others are decoded again", async () => {
  const { decode, decoded } = source([1, 1, 2, 1])
  const room = { bytes: 10 }
  const pictures = new KeptPictures(room, decode)
  expect(await walk(pictures)).toEqual([0, 1, 2, 3])
  expect(room.bytes).toBe(4)
  expect(await walk(pictures)).toEqual([0, 1, 2, 3])
  expect(decoded).toEqual([0, 1, 2, 3, 2, 3])
})

test("a walk that is left goes on in its order, and what fits is not decoded again", async () => {
  const { decode, decoded } = source([1, 1, 1])
  const pictures = new KeptPictures({ bytes: 100 }, decode)
  expect(await walk(pictures, 2)).toEqual([0, 1])
  expect(await walk(pictures)).toEqual([0, 1, 2])
  expect(await walk(pictures)).toEqual([0, 1, 2])
  expect(decoded).toEqual([0, 1, 2])
})

test("tasks share the room", async () => {
  const [first, second] = [source([1, 1]), source([1, 1])]
  const room = { bytes: 9 }
  for (const { decode } of [first, second]) await walk(new KeptPictures(room, decode))
  expect(room.bytes).toBe(0)
})
