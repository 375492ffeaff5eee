import { execFile } from "node:child_process"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { collect } from "../../../test/reinforced.ts"
import {
  embeddingWidth,
  pictureSample,
  pictureSamples,
  type ShardLayout,
  smallInput,
  temporaryFolder,
  tokenizer,
  trainingConfig,
  writeSamples,
} from "../../../test/training-samples.ts"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { preprocess } from "../../core/image/preprocess.ts"
import { decodeImage } from "../../host/image/images.ts"
import { augmentedPixels } from "../augment/apply.ts"
import type { ReinforcedSample } from "../reinforced/sample.ts"
import type { Batch } from "./batch.ts"
import type { TrainingDataConfig } from "./config.ts"
import { realRow, syntheticRow, viewRow } from "./rows/embedding-rows.ts"
import { openTrainingData } from "./training-data.ts"

let folder: string
let samples: ReinforcedSample[]
/** 10 samples in two shards, and the same with three more that cannot be used. */
let shards: string
let damaged: string

beforeAll(async () => {
  folder = await temporaryFolder()
  samples = await pictureSamples(10)
  const first = await writeSamples(join(folder, "0.tar"), samples.slice(0, 6))
  shards = `${first}::${await writeSamples(join(folder, "1.tar"), samples.slice(6))}`
  const whole = await pictureSample("broken")
  const broken = { ...whole, image: { extension: "jpg", bytes: whole.image!.bytes.subarray(0, 200) } }
  const lacking = { ...(await pictureSample("lacking")), embeddings: new Map(), paramAug: null }
  const silent = { ...(await pictureSample("silent")), texts: [], fields: {}, embeddings: new Map() }
  damaged = `${shards}::${await writeSamples(join(folder, "2.tar"), [broken, lacking, silent])}`
})
afterAll(() => rm(folder, { recursive: true }))

async function take(config: TrainingDataConfig, steps: number, firstStep = 0): Promise<Batch[]> {
  const data = await openTrainingData(config)
  try {
    return await batchesOf(data, steps, firstStep)
  } finally {
    await data.close()
  }
}

async function batchesOf(data: Awaited<ReturnType<typeof openTrainingData>>, steps: number, firstStep = 0) {
  const found: Batch[] = []
  for await (const batch of data.batches(firstStep)) if (found.push(copyOf(batch)) === steps) break
  return found
}

/** Copies the arrays, which are filled again. */
function copyOf({ images, tokens, synthetic, teacher }: Batch): Batch {
  const made = teacher?.synthetic && { synthetic: teacher.synthetic.slice() }
  return {
    ...{ images: images.slice(), tokens: tokens.slice(), ...(synthetic && { synthetic: synthetic.slice() }) },
    ...(teacher && {
      teacher: { ...teacher, ...made, image: teacher.image.slice(), text: teacher.text.slice() },
    }),
  }
}

function row<T extends Float32Array | BigInt64Array>(array: T, i: number, rows = 4): number[] {
  const length = array.length / rows
  return [...array.subarray(i * length, (i + 1) * length)].map(Number)
}

function text(tokens: BigInt64Array, i: number, rows = 4): string {
  const ids = row(tokens, i, rows).slice(1)
  return tokenizer.decode(ids.slice(0, ids.indexOf(49407))).trim()
}

/** Captions without their spaces, as "first of s 1" is decoded. */
const squeezed = (caption: string) => caption.replaceAll(" ", "")

const reinforced = (source: string, changes: Partial<TrainingDataConfig> = {}) =>
  trainingConfig(source, { format: "reinforced", view: "stored", ...changes })

test.each<[ShardLayout, string]>([
  ["npz", "a.tar"],
  ["joined", "b.tar"],
  ["pth.gz", "c.tar"],
  ["compact", "d.tar"],
  ["jsonl", "e.jsonl"],
  ["jsonl", "f.jsonl.gz"],
])("%s in %s: views made again, captions, and their rows of embeddings", async (layout, name) => {
  const path = await writeSamples(join(folder, name), samples, layout)
  const stored = (await collect(path)).samples
  const images = await Promise.all(stored.map(({ image }) => decodeImage(image!.bytes)))
  const views = stored.flatMap((sample, i) =>
    sample.paramAug!.map((view, v) => ({ sample, v, pixels: augmentedPixels(images[i]!, view, smallInput) })),
  )
  const seen = { views: new Set<number>(), captions: new Set<number>(), synthetic: new Set<string>() }
  for (const batch of await take(reinforced(path), 10)) {
    for (let i = 0; i < 4; i++) {
      const pixels = row(batch.images, i)
      const { sample, v } = views.find((view) => view.pixels.every((value, k) => value === pixels[k]))!
      expect(row(batch.teacher!.image, i)).toEqual([...viewRow(sample, v)!])
      const caption = sample.texts.findIndex((said) => squeezed(said) === squeezed(text(batch.tokens, i)))
      expect(row(batch.teacher!.text, i)).toEqual([...realRow(sample, caption)!])
      const said = squeezed(text(batch.synthetic!, i))
      const [key, texts] = [...sample.synTexts].find(([, all]) => all.some((one) => squeezed(one) === said))!
      const index = texts.findIndex((one) => squeezed(one) === said)
      expect(row(batch.teacher!.synthetic!, i)).toEqual([...syntheticRow(sample, key, index)!])
      seen.views.add(v)
      seen.captions.add(caption)
      seen.synthetic.add(`${key} ${index}`)
    }
    expect(batch.teacher!.widths).toEqual([8, 8])
  }
  expect([seen.views.size, seen.captions.size, seen.synthetic.size]).toEqual([3, 2, 5])
})

test("published DataCompDR: two teachers of 12 and 20, found by their lengths", async () => {
  const path = join(import.meta.dirname, "../../../test/golden/datacompdr/00000000.tar")
  const stored = (await collect(path)).samples
  const batchSize = stored.length
  const preprocessing = { ...smallInput, size: 64 }
  const data = await openTrainingData(reinforced(path, { batchSize, preprocessing }))
  expect(data.teacherWidths).toEqual([12, 20])
  for await (const { images, teacher } of data.batches(0)) {
    const names = await Promise.all(
      [...stored.keys()].map(async (i) => {
        const pixels = row(images, i, batchSize)
        for (const sample of stored) {
          const image = await decodeImage(sample.image!.bytes)
          const views = sample.paramAug!.map((view) => augmentedPixels(image, view, preprocessing))
          const v = views.findIndex((view) => view.every((value, k) => value === pixels[k]))
          if (v < 0) continue
          expect(row(teacher!.image, i, batchSize)).toEqual([...viewRow(sample, v)!])
          return sample.key
        }
      }),
    )
    expect(names.toSorted()).toEqual(stored.map(({ key }) => key).sort())
    break
  }
  await data.close()
})

test("rows of embeddings are the same in both layouts of synthetic captions", async () => {
  const [apart, joined] = [join(folder, "apart.tar"), join(folder, "together.tar")]
  await writeSamples(apart, samples)
  await writeSamples(joined, samples, "joined")
  expect(await take(reinforced(apart), 3)).toEqual(await take(reinforced(joined), 3))
})

test.each<Partial<TrainingDataConfig>>([
  { workers: 0, prefetch: 0 },
  { workers: 0, memoryBytes: 0 },
  { workers: 1, prefetch: 3 },
  { workers: 2, memoryBytes: 0 },
])("threads, batches ahead and memory change nothing: %o", async (changes) => {
  expect(await take(reinforced(shards, changes), 6)).toEqual(await take(reinforced(shards), 6))
})

test.each([{}, { resampled: true }])("goes on at any step: %o", async (changes) => {
  const expected = await take(reinforced(shards, changes), 9)
  expect(await take(reinforced(shards, changes), 4, 5)).toEqual(expected.slice(5))
  const [far] = await take(reinforced(shards, changes), 1, 1_000_000_000)
  expect(far!.images.length).toBe(4 * 3 * 16 * 16)
})

test("the seed decides", async () => {
  const [a, b] = await Promise.all([1, 2].map((seed) => take(reinforced(shards, { seed }), 1)))
  expect(a).not.toEqual(b)
})

test.each([{}, { resampled: true }])("ranks joined are one rank: %o", async (changes) => {
  const whole = await take(reinforced(damaged, { ...changes, maxBadSamples: 3 }), 8)
  const parts = await Promise.all(
    [0, 1].map((rank) => take(reinforced(damaged, { ...changes, rank, ranks: 2, maxBadSamples: 3 }), 8)),
  )
  const joined = <T>(pick: (batch: Batch) => ArrayLike<T>, step: number) =>
    parts.flatMap((batches) => Array.from(pick(batches[step]!)))
  for (const [step, batch] of whole.entries()) {
    expect(joined((b) => b.images, step)).toEqual(Array.from(batch.images))
    expect(joined((b) => b.tokens, step)).toEqual(Array.from(batch.tokens))
    expect(joined((b) => b.teacher!.synthetic!, step)).toEqual(Array.from(batch.teacher!.synthetic!))
  }
})

test("every sample comes once per epoch, whatever the batch size", async () => {
  const data = await openTrainingData(trainingConfig(shards, { captionKey: "precise" }))
  expect([data.samples, data.stepsPerEpoch, data.hasSynthetic]).toEqual([10, 3, false])
  const captions = (await batchesOf(data, 5)).flatMap(({ tokens }) => [0, 1, 2, 3].map((i) => text(tokens, i)))
  await data.close()
  const all = samples.map(({ key }) => `precise of ${key.replace(/(\d)/, " $1")}`).sort()
  const epochs = [captions.slice(0, 10), captions.slice(10)]
  expect(epochs.map((epoch) => epoch.toSorted())).toEqual([all, all])
  expect(epochs[0]).not.toEqual(epochs[1])
})

test("plain batches: the middle of the picture and its caption, and nothing else", async () => {
  const [batch] = await take(trainingConfig(shards), 1)
  expect(Object.keys(batch!)).toEqual(["images", "tokens"])
  const sample = samples.find(({ texts }) => texts.some((said) => squeezed(said) === squeezed(text(batch!.tokens, 0))))!
  const expected = preprocess(await decodeImage(sample.image!.bytes), smallInput)
  expect(row(batch!.images, 0)).toEqual([...expected])
})

test("a crop shows the given share of the picture", async () => {
  const [whole] = await take(trainingConfig(shards, { view: "crop", cropScale: [0.999, 1] }), 1)
  const [part] = await take(trainingConfig(shards, { view: "crop", cropScale: [0.1, 0.2] }), 1)
  expect(whole!.tokens).toEqual(part!.tokens)
  expect(whole!.images).not.toEqual(part!.images)
})

test("synthetic captions are mixed in with their embeddings, in one term", async () => {
  const batches = await take(reinforced(shards, { mixSynthetic: 0.25, syntheticPattern: "^syn_text$" }), 100)
  let synthetic = 0
  for (const { tokens, teacher, synthetic: own } of batches) {
    expect([own, teacher!.synthetic]).toEqual([undefined, undefined])
    for (let i = 0; i < 4; i++) {
      const said = squeezed(text(tokens, i))
      const sample = samples.find(({ key }) => said.endsWith(`of${key}`))!
      const made = sample.synTexts.get("syn_text")!.findIndex((one) => squeezed(one) === said)
      const real = sample.texts.findIndex((one) => squeezed(one) === said)
      if (made >= 0) synthetic++
      const expected = made >= 0 ? syntheticRow(sample, "syn_text", made) : realRow(sample, real)
      expect(row(teacher!.text, i)).toEqual([...expected!])
    }
  }
  expect(synthetic / 400).toBeGreaterThan(0.19)
  expect(synthetic / 400).toBeLessThan(0.31)
})

/** Pictures that only a captioner has described: the embedding stage then has no `text_emb`. */
const uncaptioned = (all: readonly ReinforcedSample[]) =>
  all.map((sample) => {
    const embeddings = new Map([...sample.embeddings].filter(([name]) => name !== "text_emb"))
    return { ...sample, texts: [], fields: {}, embeddings }
  })

test.each<[ShardLayout, string]>([
  ["npz", "silent.tar"],
  ["jsonl", "silent.jsonl"],
])("%s of pictures without captions: synthetic ones take their place, with their embeddings", async (layout, name) => {
  const path = await writeSamples(join(folder, name), uncaptioned(samples), layout)
  const data = await openTrainingData(reinforced(path))
  const batches = await batchesOf(data, 20)
  await data.close()
  expect([data.mixSynthetic, data.hasSynthetic, data.bad.count]).toEqual([1, false, 0])
  expect(data.notes).toEqual([
    `${path}: pictures have no captions of their own; synthetic ones take their place, in one loss term`,
  ])
  const seen = new Set<string>()
  for (const { tokens, teacher, synthetic } of batches) {
    expect([synthetic, teacher!.synthetic]).toEqual([undefined, undefined])
    for (let i = 0; i < 4; i++) {
      const said = squeezed(text(tokens, i))
      const sample = samples.find(({ key }) => said.endsWith(`of${key}`))!
      const [key, texts] = [...sample.synTexts].find(([, all]) => all.some((one) => squeezed(one) === said))!
      const index = texts.findIndex((one) => squeezed(one) === said)
      expect(row(teacher!.text, i)).toEqual([...syntheticRow(sample, key, index)!])
      seen.add(`${key} ${index}`)
    }
  }
  expect(seen.size).toBe(5)
})

test("one caption among many pictures without is a reason to keep to real ones", async () => {
  const many = [...uncaptioned(await pictureSamples(30, "u")), await pictureSample("one")]
  const path = await writeSamples(join(folder, "one.tar"), many)
  const data = await openTrainingData(reinforced(path))
  expect([data.mixSynthetic, data.hasSynthetic, data.notes]).toEqual([null, true, []])
  const error = await batchesOf(data, 1).catch((error) => error)
  await data.close()
  expect(error.message).toMatch(/^\d samples cannot be used, more than the 0 allowed: \d x no caption/)
})

test("synthetic captions in place of all real ones need no real ones, and change nothing where there are some", async () => {
  const path = await writeSamples(join(folder, "partly.tar"), [
    ...samples.slice(0, 5),
    ...uncaptioned(samples.slice(5)),
  ])
  const whole = await writeSamples(join(folder, "whole.tar"), samples)
  const mixed = { embeddings: false, mixSynthetic: 1 }
  const [part, all] = await Promise.all([path, whole].map((source) => take(reinforced(source, mixed), 5)))
  const captions = (batches: readonly Batch[]) =>
    batches.flatMap(({ tokens }) => [0, 1, 2, 3].map((i) => text(tokens, i)))
  for (const caption of captions(part!)) expect(caption).toMatch(/^(made|other) \d of s/)
  const ofCaptioned = (batches: readonly Batch[]) => captions(batches).filter((caption) => /[0-4]$/.test(caption))
  expect(ofCaptioned(part!)).toEqual(ofCaptioned(all!))
  expect(ofCaptioned(part!).length).toBeGreaterThan(5)
})

test("data without the captions or views asked for are refused before any batch", async () => {
  const message = (source: string, config: TrainingDataConfig) =>
    openTrainingData({ ...config, source }).then(
      () => "none",
      ({ message, hint }) => `${message} | ${hint}`,
    )
  const silent = await writeSamples(join(folder, "silent-2.tar"), uncaptioned(samples))
  expect(await message(silent, trainingConfig(silent))).toMatch(
    /silent-2\.tar: none of its first 10 samples has a caption \| give the pictures captions, or make synthetic ones/,
  )
  expect(await message(silent, reinforced(silent, { mixSynthetic: 0.5 }))).toMatch(
    /none of its first 10 samples has a caption \| data\.mixSynthetic=1 trains on the synthetic ones alone$/,
  )
  expect(await message(silent, trainingConfig(silent, { captionKey: "precise" }))).toContain('has a "caption" in its')
  const captioned = await writeSamples(
    join(folder, "captioned.tar"),
    samples.map((sample) => ({ ...sample, paramAug: null, embeddings: new Map() })),
  )
  expect(await message(captioned, reinforced(captioned, { embeddings: false }))).toMatch(
    /captioned\.tar: none of its first 8 samples has stored views \(param_aug\) \| make them \(mobileclip reinforce embed\)/,
  )
})

test("synthetic captions alone, with any view", async () => {
  const [batch] = await take(reinforced(shards, { embeddings: false, view: "center" }), 1)
  expect(Object.keys(batch!)).toEqual(["images", "tokens", "synthetic"])
  expect(text(batch!.synthetic!, 0)).toMatch(/^(made|other) \d of s/)
})

test.each([0, 2])(
  "%i threads: samples that cannot be used are counted and replaced, always by the same ones",
  async (workers) => {
    const config = reinforced(damaged, { workers, maxBadSamples: 3 })
    const data = await openTrainingData(config)
    const batches = await batchesOf(data, 10)
    await data.close()
    expect(data.bad.count).toBe(3)
    expect(Object.fromEntries(data.bad.reasons)).toEqual({
      "damaged picture": 1,
      "no caption": 1,
      "no stored views": 1,
    })
    expect(await take(reinforced(damaged, { maxBadSamples: 3 }), 5, 5)).toEqual(batches.slice(5))
    for (const { tokens } of batches)
      for (let i = 0; i < 4; i++) expect(text(tokens, i)).toMatch(/^(first|second) of s/)
  },
)

test("more bad samples than allowed stop the run, and are reported", async () => {
  const data = await openTrainingData(reinforced(damaged, { maxBadSamples: 2 }))
  const error = await batchesOf(data, 10).catch((error) => error)
  await data.close()
  expect(error).toBeInstanceOf(UserError)
  expect(error.message).toMatch(/^3 samples cannot be used, more than the 2 allowed: 1 x .*damaged picture \(.*broken/)
  expect(error.message).not.toContain("\n")
})

test("when the data are closed, batches end with an error and nothing hangs", async () => {
  const data = await openTrainingData(reinforced(shards, { workers: 2, prefetch: 4 }))
  const batches = data.batches(0)
  await batches.next()
  await data.close()
  const rest = async () => {
    for (let i = 0; i < 6; i++) await batches.next()
  }
  await expect(rest()).rejects.toThrow("the pool of training rows is closed")
}, 10_000)

test.each(["await data.close()", ""])("a process that has its batches ends by itself: %o", async (close) => {
  const compiled = new URL("../../../dist/src/", import.meta.url)
  const { tokenizer: _, ...config } = reinforced(shards, { workers: 1, prefetch: 4 })
  const code = `
    import { Tokenizer } from "${new URL("core/text/tokenizer.js", compiled)}"
    import { openTrainingData } from "${new URL("data/training/training-data.js", compiled)}"
    const data = await openTrainingData({ ...${JSON.stringify(config)}, tokenizer: new Tokenizer() })
    const batches = data.batches(0)
    console.log((await batches.next()).value.tokens.length)
    ${close}
    console.log("end")`
  const script = join(folder, "script.mjs")
  await writeFile(script, code)
  const { stdout } = await promisify(execFile)(process.execPath, [script])
  expect(stdout).toBe("80\nend\n")
})

test("wrong widths, patterns and choices are reported", async () => {
  const message = (changes: Partial<TrainingDataConfig>, source = shards) =>
    openTrainingData(reinforced(source, changes)).then(
      () => "none",
      ({ message }) => message,
    )
  expect(await message({ teacherWidths: [8, 9] })).toContain(`are ${embeddingWidth} wide, and teacherWidths [8, 9] add`)
  expect(await message({ syntheticPattern: "^cap" })).toContain(
    "under syn_text, syn_text_other, and none matches /^cap/",
  )
  expect(await message({ syntheticPattern: "(" })).toBe('syntheticPattern "(" is not a regular expression')
  expect(await message({ captionKey: "both" })).toContain('captions "both" have no embeddings')
  expect(await message({ view: "crop" })).toContain('are of its stored views, not of "crop" ones')
  expect(await message({ batchSize: 16 })).toContain("10 samples do not fill a batch of 16")
  expect(await message({ batchSize: 5, ranks: 2 })).toBe("a batch of 5 cannot be shared by 2 ranks")
  expect(await message({ rank: 1 })).toContain("rank is 1, and below the number of ranks, 1 was expected")
  expect(await message({}, join(folder, "absent.tar"))).toContain("absent.tar: no such shard or folder")
  const plain = samples.map((sample) => ({ ...sample, embeddings: new Map(), synTexts: new Map(), paramAug: null }))
  const path = await writeSamples(join(folder, "plain.tar"), plain)
  expect(await message({}, path)).toContain("plain.tar is not reinforced")
  const pictureless = await writeSamples(
    join(folder, "none.tar"),
    samples.map((sample) => ({ ...sample, image: null })),
  )
  expect(await message({}, pictureless)).toMatch(/none of the first 10 samples can be used \(.*s\d has no picture\)/)
})

test.each([0, 1])("a shard that is removed meanwhile is not taken for damaged samples: %i threads", async (workers) => {
  const source = await writeSamples(join(folder, `going-${workers}.tar`), samples)
  const data = await openTrainingData(trainingConfig(source, { workers, maxBadSamples: 1000 }))
  try {
    await rm(source)
    const error = await batchesOf(data, 1).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(EnvironmentError)
    expect((error as Error).message).toBe(`${source}, which is being trained on, was removed`)
  } finally {
    await data.close()
  }
})
