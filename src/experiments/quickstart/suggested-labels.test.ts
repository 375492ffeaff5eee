import sharp from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Encoder } from "../../core/inference/encoder.ts"
import { COLOURS, namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import type { Scene } from "../../evaluate/scenes.ts"
import { halvesOf, rightLabel, suggestLabels } from "./suggested-labels.ts"

const shapes = namesOf(SHAPES)
const colours = namesOf(COLOURS)
const words = [...shapes, ...colours]
const star: Image8 = { width: 1, height: 1, channels: 3, data: Uint8Array.of(shapes.indexOf("star"), 0, 0) }

/** So many pictures of every shape, each in its own colour; the first two pixels say what is shown. */
async function scenes(ofEach = 16): Promise<Scene[]> {
  const found: Scene[] = []
  for (let i = 0; i < ofEach * shapes.length; i++) {
    const [shape, colour] = [shapes[i % shapes.length]!, colours[(i * 7) % colours.length]!]
    const png = await sharp(Uint8Array.of(shapes.indexOf(shape), colours.indexOf(colour), 0), {
      raw: { width: 1, height: 1, channels: 3 },
    })
      .png()
      .toBuffer()
    const record = { layout: "single", objects: [{ shape, colour }] } as unknown as Scene["record"]
    found.push({ jpeg: png, record })
  }
  return found
}

/**
 * Sees shapes of the list and takes all others for its `blind` word; sees no colours. Words have directions of their own.
 *
 * @param knowsNone whether "thing" is what it calls what it does not know
 */
function student(seen: readonly string[], knowsNone: boolean): Encoder {
  const width = words.length + 2
  const row = (at: number) => Float32Array.from({ length: width }, (_, i) => (i === at ? 1 : 0.001 * ((i * 7) % 5)))
  const rows = (list: readonly number[]) => Float32Array.from(list.flatMap((at) => [...row(at)]))
  const imageRow = ({ data }: Image8) => {
    const shape = shapes[data[0]!]!
    return seen.includes(shape) ? words.indexOf(shape) : words.length + (knowsNone ? 0 : 1)
  }
  const textRow = (text: string) => {
    const word = words.find((one) => text.split(" ").includes(one))
    if (word) return words.indexOf(word)
    return text.includes("thing") ? words.length : words.length + 1
  }
  return {
    embedDim: width,
    encodeImages: async (images: readonly Image8[]) => rows(images.map(imageRow)),
    encodeTexts: async (texts: readonly string[]) => rows(texts.map(textRow)),
  } as unknown as Encoder
}

test("labels are those that the student tells apart, with a row for the others where that helps", async () => {
  const seen = ["star", "heart", "ring", "cloud"]
  const found = (await suggestLabels(student(seen, true), await scenes()))!
  expect(found).toMatchObject({
    labels: seen,
    none: "thing",
    template: "a {}",
    named: { right: 1 },
    others: { right: 1 },
  })
  // The other half of the pictures was used to choose.
  expect(found.named.pictures + found.others!.pictures).toBe(96)
  const unaware = await suggestLabels(student(seen, false), await scenes())
  expect(unaware).toMatchObject({ labels: seen, none: "different shape" })
})

test("where every class is told apart, all are suggested and no row is needed", async () => {
  expect(await suggestLabels(student(shapes, true), await scenes())).toEqual({
    ...{ labels: shapes, none: null, template: "a {}", chosenOn: 96 },
    ...{ named: { pictures: 96, right: 1, chance: expect.closeTo(1 / 12, 1) }, others: null },
  })
})

test("a student that knows two shapes gets these, and no third one that it does not know", async () => {
  expect(await suggestLabels(student(["drop", "star"], true), await scenes())).toMatchObject({
    ...{ labels: expect.toSatisfy((labels: string[]) => labels.toSorted().join() === "drop,star"), none: "thing" },
    ...{ named: { right: 1 }, others: { right: 1 } },
  })
})

test("a student that knows nothing, or says the same of every picture, gets no labels", async () => {
  expect(await suggestLabels(student([], true), await scenes())).toBeNull()
  expect(await suggestLabels(student([], false), await scenes())).toBeNull()
  const same = student(shapes, true)
  const always = { ...same, encodeImages: (images: readonly Image8[]) => same.encodeImages(images.map(() => star)) }
  expect(await suggestLabels(always, await scenes())).toBeNull()
})

test("a student that guesses gets no labels", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = Random.of(seed, "a guessing student")
    const knowing = student(shapes, true)
    const guess = () => ({ ...star, data: Uint8Array.of(random.int(shapes.length), 0, 0) })
    const encodeImages = (images: readonly Image8[]) => knowing.encodeImages(images.map(guess))
    expect(await suggestLabels({ ...knowing, encodeImages }, await scenes()), `seed ${seed}`).toBeNull()
  }
})

test("a student that is better than guessing, and often wrong, gets no labels", async () => {
  const knowing = student(shapes, true)
  // Right for half of the colours.
  const oftenWrong = (image: Image8): Image8 => {
    const [shape, colour] = image.data as unknown as [number, number]
    return [0, 1, 4, 5, 8].includes(colour)
      ? image
      : { ...star, data: Uint8Array.of((shape + colour) % shapes.length, 0, 0) }
  }
  const encodeImages = (images: readonly Image8[]) => knowing.encodeImages(images.map(oftenWrong))
  expect(await suggestLabels({ ...knowing, encodeImages }, await scenes(32))).toBeNull()
})

test("a label for the others is not suggested where many of them do not get it", async () => {
  const known = shapes.slice(0, 8)
  const knowing = student(known, true)
  // Two in five of what it does not know it takes for something that it knows.
  const confused = (image: Image8): Image8 => {
    const [shape, colour] = image.data as unknown as [number, number]
    if (shape < known.length || ![0, 1, 4, 5].includes(colour)) return image
    return { ...star, data: Uint8Array.of((shape + colour) % known.length, 0, 0) }
  }
  const encodeImages = (images: readonly Image8[]) => knowing.encodeImages(images.map(confused))
  const found = (await suggestLabels({ ...knowing, encodeImages }, await scenes()))!
  expect(found).toMatchObject({ none: null, named: { right: 1 }, others: { right: 0 } })
})

test("the halves share no picture, and the right label is the class, or that of the others", async () => {
  const all = await scenes()
  const [choice, measure] = halvesOf(all)
  expect(choice.length + measure.length).toBe(all.length)
  expect(choice.filter((scene) => measure.includes(scene))).toEqual([])
  expect(halvesOf(all)).toEqual([choice, measure])
  const suggestion = (await suggestLabels(student(["star", "heart"], true), all))!
  const rightOf = (wanted: string) =>
    rightLabel(suggestion, all.find(({ record }) => record.objects[0]!.shape === wanted)!.record)
  expect([rightOf("star"), rightOf("ring")]).toEqual(["star", "thing"])
})

test("a few pictures that happen to be right are not enough", async () => {
  const all = await scenes()
  const knowing = student(shapes, true)
  expect(await suggestLabels(knowing, all.slice(0, 4))).toBeNull()
  expect(await suggestLabels(knowing, [])).toBeNull()
  expect(await suggestLabels(knowing, all)).toMatchObject({ labels: shapes })
})
