import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"
import { tinyConfig, tinyInfo } from "../../test/tiny-model.ts"
import { writeTower } from "../benchmark/latency/generated.ts"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
import { decodeImage } from "../host/image/images.ts"
import { openTower } from "../run/node.ts"
import { chooseCourse } from "./course.ts"
import { type EncodeFilesOptions, encodeFiles, type PictureSource, type PixelEncoder } from "./encode-files.ts"
import { TowerThreads } from "./tower-threads.ts"

const folder = mkdtempSync(join(tmpdir(), "encode-files-"))
afterAll(() => rmSync(folder, { recursive: true }))

await writeTower(tinyConfig, "image", folder, "vision_model.onnx", { dtype: "fp32" })
const names = { input: "pixel_values", output: "image_embeds" }
const place = { directory: folder, file: "vision_model.onnx", names, imageSize: 64 }
const { embedDim } = tinyConfig
const tower = openTower(place, { threads: 1 })

function encoder(
  preprocessing: Preprocessing = tinyInfo.preprocessing,
  where: typeof place | null = place,
): PixelEncoder {
  const encodePixels = (pixels: Float32Array, count: number) => tower.images(pixels, count)
  return { name: "tiny", embedDim, preprocessing, place: where, encodePixels }
}

/** JPEG files of several sizes, and every fifth a PNG. */
const files = await Promise.all(
  Array.from({ length: 40 }, async (_, n) => {
    const [width, height] = [90 + 7 * n, 70 + 3 * (n % 11)]
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * (n + 3) + (i >> 7) * n) % 256)
    const path = join(folder, `${n}.${n % 5 ? "jpg" : "png"}`)
    const picture = sharp(data, { raw: { width, height, channels: 3 } })
    await (n % 5 ? picture.jpeg() : picture.png()).toFile(path)
    return path
  }),
)

async function all(sources: readonly PictureSource[], options: EncodeFilesOptions = {}, encoders = [encoder()]) {
  const found = []
  for await (const batch of encodeFiles(sources, encoders, options)) found.push(...batch)
  return found
}

async function expected(preprocessing = tinyInfo.preprocessing): Promise<Float32Array[]> {
  const vectors = []
  for (const file of files) vectors.push(await tower.images(preprocess(await decodeImage(file), preprocessing), 1))
  return vectors
}

/** Sums of float32 in another order, which the size of a batch chooses: a thousandth of the vectors' differences, 1e-5 of their values. */
const rounding = 1e-7

function expectVectors(found: Awaited<ReturnType<typeof all>>, wanted: readonly Float32Array[], which = 0): void {
  expect(found.length).toBe(wanted.length)
  for (const [i, each] of found.entries()) {
    if ("error" in each) throw each.error
    const largest = Math.max(...each.vectors[which]!.map((value, d) => Math.abs(value - wanted[i]![d]!)))
    expect(largest).toBeLessThan(rounding)
  }
}

test("threads with towers of their own, batches here, and one thread give the vectors of each picture alone, in order", async () => {
  const wanted = await expected()
  const lines: string[] = []
  const found = await all(files, { threads: 2, onChoice: (line) => lines.push(line) })
  expect(found.map(({ source }) => source)).toEqual(files)
  expectVectors(found, wanted)
  expect(lines).toEqual([
    expect.stringMatching(/^2 threads decode and compute, each with towers of its own, in batches of 1: /),
  ])
  expectVectors(await all(files, { threads: 3, batchSize: 5 }), wanted)
  expectVectors(await all(files, { threads: 0, batchSize: 7 }), wanted)
  expectVectors(await all(files, { threads: 8 }, [encoder(undefined, null)]), wanted)
})

test("pixels stay as they are while a model computes, however long that takes", async () => {
  const quick = encoder(undefined, null)
  const encodePixels = async (pixels: Float32Array, count: number) => {
    await wait(20)
    return quick.encodePixels(pixels, count)
  }
  expectVectors(await all(files, { threads: 0, batchSize: 4 }, [{ ...quick, encodePixels }]), await expected())
})

test("several models with other pixels share each decode", async () => {
  const other: Preprocessing = { ...tinyInfo.preprocessing, interpolation: "bicubic", mean: [0.5, 0.4, 0.3] }
  const third: Preprocessing = { ...tinyInfo.preprocessing, std: [0.5, 0.6, 0.7] }
  const vectors = [await expected(), await expected(other), await expected(third)]
  for (const threads of [0, 2]) {
    const found = await all(files, { threads }, [encoder(), encoder(other), encoder(third), encoder()])
    for (const [which, wanted] of [...vectors, vectors[0]!].entries()) expectVectors(found, wanted, which)
  }
})

test("a picture that cannot be read gives its reason, and the others go on", async () => {
  const cut = join(folder, "cut.jpg")
  writeFileSync(
    cut,
    (
      await sharp({ create: { width: 300, height: 200, channels: 3, background: "red" } })
        .jpeg()
        .toBuffer()
    ).subarray(0, 400),
  )
  const bytes = { name: "note", bytes: Buffer.from("not a picture") }
  const sources = [cut, ...files, bytes, join(folder, "absent.jpg"), files[0]!]
  const wanted = await expected()
  for (const options of [{ threads: 0 }, { threads: 2 }, { threads: 2, batchSize: 8 }]) {
    const found = await all(sources, options)
    expect(found.map(({ source }) => source)).toEqual(sources)
    expectVectors(
      found.filter((each) => "vectors" in each),
      [...wanted, wanted[0]!],
    )
    const errors = found.flatMap((each) => ("error" in each ? [each.error] : []))
    expect(errors.every((error) => error instanceof UserError)).toBe(true)
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining("cut.jpg is damaged or cut off"),
      "note is not a picture",
      expect.stringContaining("absent.jpg"),
    ])
    expect(errors[0]!.hint).toBe("get it again, or leave it out")
  }
})

test.each([0, 2])("a picture with more pixels than are allowed is refused, with %i threads", async (threads) => {
  // files[1] is a JPEG file of 97 x 73 pixels, files[0] a PNG of 90 x 70.
  const sources = Array.from({ length: 20 }, (_, n) => files[n % 2]!)
  const found = await all(sources, { threads, decode: { maxPixels: 90 * 70 } })
  for (const [n, each] of found.entries())
    if (n % 2)
      expect(each).toMatchObject({ error: { message: expect.stringContaining("more than the limit of 6,300") } })
    else expect(each).toHaveProperty("vectors")
})

test("bytes stay their owner's, and no sources are no batches", async () => {
  const file = await sharp(files[1]).jpeg().toBuffer()
  // A part of a larger memory.
  const bytes = new Uint8Array(Buffer.concat([Buffer.alloc(100), file])).subarray(100)
  const sources = Array.from({ length: 20 }, (_, i) => ({ name: `${i}`, bytes }))
  const found = await all(sources, { threads: 2 })
  expect(found.every((each) => "vectors" in each)).toBe(true)
  expect(Buffer.compare(bytes, file)).toBe(0)
  // Other formats go to threads of another kind.
  const png = new Uint8Array(await sharp(files[1]).png().toBuffer())
  const beside = await all([{ name: "png", bytes: png }], { threads: 8 }, [encoder(undefined, null)])
  expect([beside[0]!, png.byteLength > 0]).toEqual([expect.objectContaining({ vectors: [expect.anything()] }), true])
  expect(await all([])).toEqual([])
  expect(await all([bytes].map((each) => ({ name: "bad", bytes: each.subarray(0, 50) })))).toMatchObject([
    { error: {} },
  ])
})

test("bytes that are given are handed to threads, and a part of a larger memory stays its owner's; vectors are the same", async () => {
  const file = new Uint8Array(await sharp(files[1]).jpeg().toBuffer())
  const larger = new Uint8Array(2 * file.length)
  larger.set(file)
  const bytesOf = (i: number) => (i === 7 ? larger.subarray(0, file.length) : file.slice())
  const sources = Array.from({ length: 20 }, (_, i) => ({ name: `${i}`, bytes: bytesOf(i), isGiven: true }))
  const found = await all(sources, { threads: 2 })
  expect(sources.map(({ bytes }) => bytes.length)).toEqual(sources.map((_, i) => (i === 7 ? file.length : 0)))
  expect(larger.subarray(0, file.length)).toEqual(file)
  const copied = await all(
    sources.map(({ name }) => ({ name, bytes: file })),
    { threads: 2 },
  )
  const vectors = (each: (typeof found)[number]) => "vectors" in each && each.vectors
  expect(found.map(vectors)).toEqual(copied.map(vectors))
})

test.each([0, 2])("aborted with %i threads, it throws the signal's reason and closes its sources", async (threads) => {
  const controller = new AbortController()
  let [read, isClosed] = [0, false]
  function* endless() {
    try {
      for (;;) yield files[read++ % files.length]!
    } finally {
      isClosed = true
    }
  }
  let done = 0
  const run = async () => {
    for await (const batch of encodeFiles(endless(), [encoder()], { threads, signal: controller.signal })) {
      done += batch.length
      if (done >= 24) controller.abort(new Error("enough"))
    }
  }
  await expect(run()).rejects.toThrow("enough")
  expect(isClosed).toBe(true)
  // What is under way is bounded.
  expect(read).toBeLessThan(done + 40)
})

test("a thread that ends is an error of the machine, and another one takes its place", async () => {
  const towers = [{ place, preprocessing: tinyInfo.preprocessing, embedDim }]
  await using threads = new TowerThreads({ towers, batchSize: 1, options: {} }, 1)
  const { pool } = threads as unknown as {
    pool: { threads: { worker: NodeJS.EventEmitter; jobs: Map<number, unknown> }[] }
  }
  const lost = threads.encode([files[1]!])
  const outcome = expect(lost).rejects.toThrow(/^a thread that encodes pictures ended: exit code 137/)
  while (pool.threads[0]!.jobs.size === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  pool.threads[0]!.worker.emit("exit", 137)
  await outcome
  await expect(lost).rejects.toBeInstanceOf(EnvironmentError)
  expect(await threads.encode([files[1]!])).toEqual([{ vectors: [expect.any(Float32Array)], sharpness: null }])
})

test("a model that cannot be opened is an error of all", async () => {
  const absent = { ...place, file: "absent.onnx" }
  await expect(all(files, { threads: 2 }, [encoder(undefined, absent)])).rejects.toThrow(
    /absent\.onnx cannot be loaded/,
  )
})

test("threads have towers of their own where memory allows two of them and there is enough to do", () => {
  const many = { isFew: false, threads: 8 }
  const kinds = [
    chooseCourse([place], { ...many, memory: 64e9 }),
    chooseCourse([place], { ...many, memory: 1.3e9 }),
    chooseCourse([place], { ...many, memory: 0.7e9 }),
    chooseCourse([place, null], { ...many, memory: 64e9 }),
    chooseCourse([place], { ...many, memory: 64e9, isFew: true }),
    chooseCourse([place], { ...many, memory: 64e9, threads: 1, batchSize: 3 }),
  ]
  expect(kinds.map(({ kind, threads, batchSize }) => [kind, threads, batchSize])).toEqual([
    ...[
      ["threads", 8, 1],
      ["threads", 3, 1],
      ["here", 2, 8],
      ["here", 2, 8],
      ["here", 2, 8],
      ["here", 0, 3],
    ],
  ])
  expect(kinds.map(({ reasons }) => reasons.join())).toEqual([
    expect.stringContaining("8 threads decode and compute"),
    expect.stringContaining("as many as memory allows"),
    expect.stringContaining("two threads with towers of their own take 4"),
    expect.stringContaining("a model cannot be opened in threads"),
    expect.stringContaining("they are few"),
    expect.stringContaining("there is one thread"),
  ])
})
