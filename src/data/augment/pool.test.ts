import type { Worker } from "node:worker_threads"
import sharp from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { decodeImage } from "../../host/image/images.ts"
import { augmentedPixels } from "./apply.ts"
import { datacompdrAugmentation as config } from "./config.ts"
import { ViewPool } from "./pool.ts"
import type { ViewRequest } from "./views.ts"

const small = { size: 32, interpolation: "bicubic", ...config.normalize } as const
const other = { size: 24, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] } as const
const random = new Random(6)
const files = await Promise.all(
  Array.from({ length: 12 }, (_, i) => {
    const [width, height] = [60 + i, 50]
    const pixels = Uint8Array.from({ length: width * height * 3 }, () => random.int(256))
    const picture = sharp(pixels, { raw: { width, height, channels: 3 } })
    return i % 3 === 0 ? picture.png().toBuffer() : picture.jpeg().toBuffer()
  }),
)

/** A part of a larger buffer, as members of an archive are. */
function request(i: number, bytes = files[i]!): ViewRequest & { i: number } {
  const archive = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("behind")])
  const views = { count: 4, config, seed: 3, path: ["views", `key ${i}`] }
  return {
    i,
    name: `picture ${i}`,
    bytes: archive.subarray(6, 6 + bytes.length),
    views,
    targets: [small, other, { ...small }],
  }
}

test.each([0, 1, 3])("%i threads: views in order, as they are made one by one", async (threads) => {
  await using pool = new ViewPool(threads)
  const seen: number[] = []
  const requests = files.map((_, i) => request(i))
  const make = async (asked: (typeof requests)[number]) => ({ asked, made: await pool.make(asked) })
  for await (const { asked, made } of mapOrdered(requests, 2 * threads + 1, make)) {
    seen.push(asked.i)
    const image = await decodeImage(files[asked.i]!)
    expect(made.size).toEqual({ width: image.width, height: image.height })
    expect(made.augmentations.length).toBe(4)
    for (const [t, p] of [small, other].entries()) {
      const expected = made.augmentations.flatMap((view) => [...augmentedPixels(image, view, p)])
      expect(made.pixels[t]).toEqual(Float32Array.from(expected))
    }
    // Equal targets share their pixels.
    expect(made.pixels[2]).toBe(made.pixels[0])
    pool.recycle(made)
  }
  expect(seen).toEqual(files.map((_, i) => i))
})

test("views that are drawn and those that are stored are the same, on any number of threads", async () => {
  await using pool = new ViewPool(2)
  const drawn = await pool.make(request(5))
  const again = await pool.make({ ...request(5), views: drawn.augmentations })
  expect(again.pixels).toEqual(drawn.pixels)
  await using inline = new ViewPool(0)
  expect(await inline.make(request(5))).toEqual(drawn)
})

test.each([0, 2])("%i threads: a damaged picture is an error, and the others go on", async (threads) => {
  await using pool = new ViewPool(threads)
  const requests = [request(0), request(1, files[1]!.subarray(0, 900)), request(2)]
  const [first, damaged, last] = await Promise.allSettled(requests.map((asked) => pool.make(asked)))
  expect([first!.status, last!.status]).toEqual(["fulfilled", "fulfilled"])
  const { reason } = damaged as PromiseRejectedResult
  expect(reason).toBeInstanceOf(UserError)
  expect(reason.message).toContain("picture 1 is damaged or cut off")
  expect(reason.hint).toBe("get it again, or leave it out")
  const elsewhere = { ...request(0), views: [[[0, 0, 51, 60], null]] as const }
  await expect(pool.make(elsewhere)).rejects.toThrow("picture 0: the stored crop [0,0,51,60]")
  await expect(pool.make({ ...request(0), maxPixels: 10 })).rejects.toThrow("more than the limit of 10")
})

test("a closed pool rejects what is under way and what comes later", async () => {
  const pool = new ViewPool(1)
  const underWay = [0, 1, 2, 3, 4].map((i) => pool.make(request(i)))
  const outcomes = Promise.allSettled(underWay)
  await pool[Symbol.asyncDispose]()
  expect((await outcomes).some(({ status }) => status === "rejected")).toBe(true)
  await expect(pool.make(request(0))).rejects.toThrow("the pool of views is closed")
})

test("a thread that ends is an error of its requests, and another one makes the same views", async () => {
  await using pool = new ViewPool(1)
  const first = await pool.make(request(0))
  const { threads } = (pool as unknown as { pool: { threads: { worker: Worker }[] } }).pool
  // Many views, so that the thread is at them when it ends, however busy the machine is.
  const { views, ...long } = request(1)
  const lost = pool.make({ ...long, views: { ...views, count: 2000 } })
  const terminated = threads[0]!.worker.terminate()
  await expect(lost).rejects.toThrow(new Error("a thread of the pool of views ended: exit code 1"))
  await terminated
  expect((await pool.make(request(0))).pixels).toEqual(first.pixels)
})

test("the caller keeps the bytes, and can ask again", async () => {
  await using pool = new ViewPool(1)
  const asked = request(1)
  const first = await pool.make(asked)
  expect(Buffer.compare(asked.bytes, files[1]!)).toBe(0)
  expect((await pool.make(asked)).pixels).toEqual(first.pixels)
})
