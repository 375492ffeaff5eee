import { expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { Random } from "../core/arrays/random.ts"
import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../core/image/preprocess.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import type { Batch, TeacherEmbeddings } from "../data/training/batch.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder } from "../tensor/torch-encoder.ts"
import { OnlineTeachers, type TeacherOptions } from "./online-teachers.ts"

const tokenizer = new Tokenizer()
const { preprocessing } = tinyInfo
const coloured = { ...preprocessing, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.5] } as const
const captions = ["a red star", "a green ring !^_ and more", "blue"]
const pictures = captions.map((_, seed): Image8 => {
  const random = Random.of(seed, "picture")
  return { width: 70, height: 66, channels: 3, data: Uint8Array.from({ length: 70 * 66 * 3 }, () => random.int(256)) }
})

/** A student with the teachers' preprocessing. */
const alike = { preprocessing, contextLength: 77 }

/** The batch for a student with this preprocessing and context length. */
function batchOf(student: { preprocessing: Preprocessing; contextLength: number }): Batch {
  const images = Float32Array.from(pictures.flatMap((image) => [...preprocess(image, student.preprocessing)]))
  return { images, tokens: tokenizer.encodeBatch(captions, student.contextLength).ids }
}

async function embedded(
  batch: Batch,
  contextLengths: readonly number[],
  student: Parameters<typeof batchOf>[0],
  options: TeacherOptions = {},
) {
  const teachers = contextLengths.map((contextLength) => ({
    ...{ name: "tiny", model: tinyModel({ contextLength }), preprocessing },
  }))
  const online = new OnlineTeachers(teachers, student, options)
  try {
    for await (const { teacher } of online.embed([batch])) return teacher!
  } finally {
    online.free()
  }
  throw new Error("no batch")
}

/** What the teacher gives for the pictures and captions themselves. */
async function expectedOf(contextLength: number) {
  const model = tinyModel({ contextLength })
  const interpreter = new TorchInterpreter(model)
  const encoder = new TorchEncoder(model, interpreter, { preprocessing })
  const vectors = { image: await encoder.encodeImages(pictures), text: await encoder.encodeTexts(captions) }
  interpreter.free()
  return vectors
}

function worst({ image, text }: TeacherEmbeddings, expected: Awaited<ReturnType<typeof expectedOf>>, part: number) {
  const { length } = captions
  const differences = Array.from({ length: 2 * length }, (_, i) => {
    const [found, own] = i < length ? [image, expected.image] : [text, expected.text]
    const row = i % length
    const unit = own.subarray(row * 16, (row + 1) * 16)
    const norm = Math.hypot(...unit)
    return unit.map((value, d) => Math.abs(value / norm - found[row * 32 + part * 16 + d]!))
  })
  return Math.max(...differences.flatMap((row) => [...row]))
}

test("embeddings are the teachers' own, whatever mean, std and context length the student has", async () => {
  const student = { preprocessing: coloured, contextLength: 20 }
  const found = await embedded(batchOf(student), [20, 77], student)
  expect(found.widths).toEqual([16, 16])
  for (const [part, length] of [20, 77].entries())
    expect(worst(found, await expectedOf(length), part)).toBeLessThan(1e-4)
})

test("a text that is too long for a teacher is cut as its tokenizer cuts it, also after a token with id 0", async () => {
  const student = { preprocessing: coloured, contextLength: 77 }
  const batch = batchOf(student)
  // The last token that fits is the "!" of "!^_", whose id is 0 like that of padding.
  const short = 1 + tokenizer.encodeBatch([captions[1]!], 77).ids.indexOf(0n)
  expect(short).toBe(5)
  const found = await embedded(batch, [short, short], student)
  expect(worst(found, await expectedOf(short), 0)).toBeLessThan(1e-4)
})

const twoCaptions = { ...batchOf(alike), synthetic: tokenizer.encodeBatch([...captions].reverse(), 77).ids }

test.each([1, 2, 3, 5])("chunks of %i of 3 pairs give the embeddings of the whole", async (chunkSize) => {
  const [whole, chunked] = [
    await embedded(twoCaptions, [77], alike),
    await embedded(twoCaptions, [77], alike, { chunkSize }),
  ]
  for (const part of ["image", "text", "synthetic"] as const)
    expect(distance(chunked[part]!, whole[part]!), part).toBeLessThan(1e-6)
})

test("the run's precision is the towers'; embeddings are unit rows in float32", async () => {
  const [exact, half] = [
    await embedded(twoCaptions, [77], alike),
    await embedded(twoCaptions, [77], alike, { precision: "bfloat16" }),
  ]
  for (const part of ["image", "text", "synthetic"] as const) {
    expect(distance(half[part]!, exact[part]!), part).toBeGreaterThan(1e-5)
    expect(distance(half[part]!, exact[part]!), part).toBeLessThan(0.1)
    for (let row = 0; row < captions.length; row++)
      expect(Math.hypot(...half[part]!.subarray(row * 16, (row + 1) * 16))).toBeCloseTo(1, 5)
  }
})

function distance(ours: Float32Array, expected: Float32Array): number {
  expect(ours.length).toBe(expected.length)
  return ours.reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i]!)), 0)
}

test("a teacher of another picture size is refused", () => {
  const student = { preprocessing: { ...preprocessing, size: 32 }, contextLength: 77 }
  const teacher = { name: "tiny", model: tinyModel(), preprocessing }
  expect(() => new OnlineTeachers([teacher], student)).toThrow(UserError)
})
