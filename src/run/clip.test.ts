/** What the library's face asks of a host: labels are encoded once, whoever waits, and no longer than somebody does. */
import { setTimeout as sleep } from "node:timers/promises"
import { beforeEach, expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { ClipModel } from "./clip.ts"
import type { ClipHost, ClipInfo } from "./clip-host.ts"

const info: ClipInfo = {
  ...{ name: "noted", embedDim: 2, logitScale: 100, contextLength: 77, license: null, towers: "both" },
  preprocessing: { size: 2, interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] },
  ...{ runtime: "none", device: "cpu", dtype: {}, threads: 1, manifest: null, notes: [] },
}

/** A text's vector is its length and 1; a picture is its own. */
class NotingHost implements ClipHost<readonly [number, number]> {
  readonly info = info
  readonly encoded: string[] = []
  /** Milliseconds of a batch of texts. */
  delay = 0
  readonly aborted: unknown[] = []

  async encodeImages(pictures: readonly (readonly [number, number])[]) {
    return Float32Array.from(pictures.flat())
  }
  async encodeTexts(texts: readonly string[], signal?: AbortSignal) {
    this.encoded.push(...texts)
    if (this.delay > 0) {
      await sleep(this.delay, undefined, signal ? { signal } : {}).catch((error: unknown) => {
        this.aborted.push(error)
        throw error
      })
    }
    return Float32Array.from(texts.flatMap((text) => [text.length, 1]))
  }
  async caption(pictures: readonly unknown[]) {
    return pictures.map(() => ["a caption"])
  }
  async dispose() {}
}

let host: NotingHost
let clip: ClipModel<readonly [number, number]>
beforeEach(() => {
  host = new NotingHost()
  clip = new ClipModel(host)
})

const templates = ["{}"]

test("the same labels are encoded once, one call after the other and at the same time", async () => {
  const classify = (labels: readonly string[]) => clip.classify([[3, 1]], labels, { templates })
  const [first, second] = await Promise.all([classify(["a", "bbb"]), classify(["a", "bbb"])])
  expect(host.encoded).toEqual(["a", "bbb"])
  expect(first).toEqual(second)
  expect(first[0]!.map(({ label }) => label)).toEqual(["bbb", "a"])
  expect(await classify(["a", "bbb"])).toEqual(first)
  expect(host.encoded).toHaveLength(2)
  await clip.classify([[3, 1]], ["a", "bbb"], { templates: ["a {}"] })
  expect(host.encoded).toHaveLength(4)
})

test("eight lists are kept, those that were used last", async () => {
  const classify = (label: string) => clip.bakeLabels([label, "other"], { templates })
  for (const label of ["1", "2", "3", "4", "5", "6", "7", "8"]) await classify(label)
  await classify("1")
  await classify("9")
  host.encoded.length = 0
  await classify("1")
  await classify("9")
  expect(host.encoded).toEqual([])
  await classify("2")
  expect(host.encoded).toEqual(["2", "other"])
})

test("who goes away leaves the work to those who wait, and it ends with the last of them", async () => {
  host.delay = 50
  const [one, two] = [new AbortController(), new AbortController()]
  const waiting = [one, two].map(({ signal }) => clip.bakeLabels(["a", "b"], { templates, signal }))
  one.abort(new Error("first"))
  await expect(waiting[0]).rejects.toThrow("first")
  expect((await waiting[1]!).labels).toEqual(["a", "b"])
  expect([host.aborted.length, host.encoded.length]).toEqual([0, 2])

  const three = new AbortController()
  const alone = clip.bakeLabels(["c"], { templates, signal: three.signal })
  three.abort(new Error("alone"))
  await expect(alone).rejects.toThrow("alone")
  // The next call begins anew: nothing that was given up is joined.
  expect((await clip.bakeLabels(["c"], { templates })).labels).toEqual(["c"])
  expect(host.aborted).toHaveLength(1)
})

test("labels that could not be encoded are tried again", async () => {
  const { encodeTexts } = host
  host.encodeTexts = async () => Promise.reject(new UserError("no memory"))
  await expect(clip.classify([[1, 1]], ["a"])).rejects.toThrow("no memory")
  host.encodeTexts = encodeTexts
  expect(await clip.classify([[1, 1]], ["a"])).toHaveLength(1)
})

test("a label that is added is encoded alone, and one that is there is not", async () => {
  const classifier = await clip.classifier(["a", "bb"], { templates })
  host.encoded.length = 0
  await Promise.all([classifier.add(["ccc", "a", "ccc"]), classifier.add(["ccc", "dddd"])])
  expect(classifier.labels).toEqual(["a", "bb", "ccc", "dddd"])
  expect(host.encoded).toEqual(["ccc", "ccc", "dddd"])
  classifier.remove(["bb"])
  const [scores] = await classifier.classify([[4, 1]], { top: 2 })
  expect(scores!.map(({ label }) => label)).toEqual(["dddd", "ccc"])
  const refused = () => classifier.remove(["dddd", "ddd"])
  expect(refused).toThrow(UserError)
  expect(refused).toThrow('"ddd" is not among the labels')
  classifier.remove(["a", "ccc", "dddd"])
  await expect(classifier.classify([[4, 1]])).rejects.toThrow("there are no labels to choose from")
  // The list that is kept for other calls is as it was.
  expect((await clip.bakeLabels(["a", "bb"], { templates })).labels).toEqual(["a", "bb"])
})

test("a classifier that is changed while it classifies answers by the labels of the beginning", async () => {
  const classifier = await clip.classifier(["a", "bb"], { templates })
  const underWay = classifier.classify([[1, 1]])
  classifier.remove(["a"])
  expect((await underWay)[0]).toHaveLength(2)
})

test("the host is freed once, after what is under way", async () => {
  const order: string[] = []
  host.encodeTexts = async () => {
    await sleep(20)
    order.push("encoded")
    return Float32Array.of(1, 1)
  }
  host.dispose = async () => {
    order.push("freed")
  }
  const work = clip.encodeText("a")
  await Promise.all([clip.dispose(), clip.dispose()])
  expect(order).toEqual(["encoded", "freed"])
  expect(await work).toHaveLength(2)
})

test("label vectors with a scale of their own are scored by it, others by the model's", async () => {
  const vectors = Float32Array.of(1, 0, 0, 1)
  const labels = { model: "noted", weights: null, embedDim: 2, labels: ["x", "y"], templates, vectors }
  const shareOfX = async (logitScale: number | null) => {
    const [scores] = await clip.classify([[1, 1]], { ...labels, logitScale })
    const [tilted] = await clip.classify([[4, 3]], { ...labels, logitScale })
    expect(scores!.map(({ score }) => score)).toEqual([0.5, 0.5])
    return tilted!.find(({ label }) => label === "x")!.score
  }
  // The cosines are 0.8 and 0.6.
  expect(await shareOfX(5)).toBeCloseTo(1 / (1 + Math.exp(-1)), 6)
  expect(await shareOfX(null)).toBeCloseTo(1 / (1 + Math.exp(-20)), 6)
})
