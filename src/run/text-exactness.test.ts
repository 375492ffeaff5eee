/**
 * A label's raw score depends on that label alone: not on the labels beside it, their order or their number, whether a tower
 * sees its padding or not. Labels are random texts of every script, from none to more tokens than a text has.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { Random } from "../core/arrays/random.ts"
import { cosines, l2Normalize } from "../core/arrays/similarity.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { exportModel } from "../export/export.ts"
import type { Feed } from "./graph.ts"
import { type Classifier, createClassifier } from "./labels/classify.ts"
import type { Model } from "./model.ts"
import { loadModel } from "./node.ts"
import { OnnxGraph, sessionOptions } from "./session.ts"

/** ONNX Runtime sums in another order where the batch has another size: a few units of float32's 6e-8 in a cosine. */
const rounding = 1e-6

const image = { width: 64, height: 64, channels: 3, data: new Uint8Array(64 * 64 * 3).map((_, i) => i % 251) } as const
const tokenizer = new Tokenizer()

/** Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Chinese, kana, symbols, pictures: first code point and number. */
const scripts = [
  ...([
    [0x20, 95],
    [0xc0, 64],
    [0x391, 57],
    [0x410, 64],
    [0x5d0, 27],
    [0x627, 36],
    [0x905, 53],
  ] as const),
  ...([
    [0xe01, 58],
    [0x4e00, 2000],
    [0x3041, 86],
    [0x2190, 112],
    [0x1f300, 700],
    [0x300, 40],
  ] as const),
]

function randomLabel(random: Random): string {
  const length = random.pick([1, 2, 3, 8, 20, 60, 200])
  const characters = Array.from({ length }, () => {
    const [first, count] = random.chance(0.5) ? scripts[0]! : random.pick(scripts)
    return String.fromCodePoint(first + random.int(count))
  })
  return characters.join("")
}

function randomLabels(seed: number, count: number): string[] {
  const random = Random.of(seed, "labels")
  const labels = Array.from({ length: 2 * count }, () => randomLabel(random))
  return [...new Set(labels)].filter((label) => label.trim() !== "").slice(0, count)
}

/** Raw scores by label. */
async function scoresOf(classifier: Classifier): Promise<ReadonlyMap<string, number>> {
  const [scores] = await classifier.classify([image])
  return new Map(scores!.map(({ label, cosine }) => [label, cosine]))
}

function expectSame(found: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>) {
  for (const [label, score] of found) expect(Math.abs(score - expected.get(label)!), label).toBeLessThan(rounding)
}

const towers = {
  "a causal tower": { causal: true },
  "a tower that sees its padding": { causal: false },
  "a tower of convolutions and attention over the padding": { kind: "mct", causal: false },
} as const

describe.each(Object.entries(towers))("%s", (_, text) => {
  let folder: string
  let model: Model
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "text-exactness-"))
    await exportModel(tinyModel(text), tinyInfo, folder)
    // A kept vector would be compared with itself.
    model = await loadModel(folder, { threads: 1, cache: false })
  })
  afterAll(async () => {
    await model.dispose()
    rmSync(folder, { recursive: true })
  })

  test.each([1, 2, 3])("labels %i: adding, removing and reordering changes no other label's score", async (seed) => {
    const labels = randomLabels(seed, 60)
    const tokens = labels.map((label) => tokenizer.encode(label).length)
    expect([Math.min(...tokens) < 4, Math.max(...tokens) > 77]).toEqual([true, true])
    const alone = new Map<string, number>()
    for (const label of labels) alone.set(label, (await scoresOf(await createClassifier(model, [label]))).get(label)!)
    // They are not all alike, so that a mistake would be seen.
    expect(new Set([...alone.values()].map((score) => score.toFixed(4))).size).toBeGreaterThan(20)

    const random = Random.of(seed, "order")
    expectSame(await scoresOf(await createClassifier(model, labels)), alone)
    const classifier = await createClassifier(model, random.shuffle(labels).slice(0, 20))
    const before = await scoresOf(classifier)
    expectSame(before, alone)
    await classifier.add(random.shuffle(labels))
    const after = await scoresOf(classifier)
    expect(after.size).toBe(60)
    expectSame(after, alone)
    // Those that were there are not encoded again: their scores are the same bit for bit.
    for (const [label, score] of before) expect(after.get(label)).toBe(score)
    classifier.remove(random.shuffle(labels).slice(0, 30))
    for (const [label, score] of await scoresOf(classifier)) expect(score).toBe(after.get(label))
    expect(classifier.labels).toHaveLength(30)
  })

  test("it gets 77 columns padded with zeros, and a causal one computes what it does without them", async () => {
    const graph = new OnnxGraph(folder, "onnx/text_model.onnx", sessionOptions({ threads: 1 }))
    const vectorOf = async (ids: readonly number[], length: number, padding: number) => {
      const data = BigInt64Array.from({ length }, (_, i) => BigInt(ids[i] ?? padding))
      const feed: Feed = { data, shape: [1, length] }
      return l2Normalize((await graph.run({ input_ids: feed }, ["text_embeds"])).text_embeds.data.slice(), 16)
    }
    const ids = tokenizer.encode("a photo of a cat")
    const own = l2Normalize(await model.encodeTexts(["a photo of a cat"]), 16)
    const zeros = await vectorOf(ids, 77, 0)
    expect(cosines(own, zeros, 16)[0]).toBeGreaterThan(1 - rounding)
    const others = await vectorOf(ids, 77, 320)
    expect(1 - cosines(zeros, others, 16)[0]! > 1e-4).toBe(!text.causal)
    await graph.release()
  })

  test("short texts beside a text of full length have the vectors that they have among short ones", async () => {
    const short = ["a cat", "two dogs", "a red house by the sea"]
    const among = l2Normalize(await model.encodeTexts(short), 16)
    const beside = l2Normalize(await model.encodeTexts([...short, "long ".repeat(100)]), 16)
    for (const [i, value] of among.entries()) expect(Math.abs(value - beside[i]!)).toBeLessThan(rounding)
  })
})
