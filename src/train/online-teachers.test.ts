import { afterAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { Random } from "../core/random.ts"
import type { Batch, TeacherEmbeddings } from "../data/training/batch.ts"
import { OnlineTeachers, type TeacherOptions } from "./online-teachers.ts"

const pairs = 7
const random = Random.of(2, "teachers")
const { size } = tinyInfo.preprocessing
const batch: Batch = {
  images: Float32Array.from({ length: pairs * 3 * size * size }, () => random.uniform()),
  tokens: captions(),
  synthetic: captions(),
}
const opened: OnlineTeachers[] = []
afterAll(() => opened.forEach((teachers) => void teachers.free()))

/** Zero-padded; the end-of-text id is the largest. */
function captions(): BigInt64Array {
  const ids = new BigInt64Array(pairs * 77)
  for (let n = 0; n < pairs; n++) {
    const words = Array.from({ length: 1 + random.int(20) }, () => BigInt(1 + random.int(49000)))
    ids.set([49406n, ...words, 49407n], n * 77)
  }
  return ids
}

async function embeddings(options: TeacherOptions): Promise<TeacherEmbeddings> {
  const preprocessing = { ...tinyInfo.preprocessing, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] } as const
  const teachers = [
    { name: "one", model: tinyModel(), preprocessing: tinyInfo.preprocessing },
    { name: "two", model: tinyModel({ layers: 2 }), preprocessing },
  ]
  const online = new OnlineTeachers(teachers, { preprocessing: tinyInfo.preprocessing, contextLength: 77 }, options)
  opened.push(online)
  for await (const { teacher } of online.embed([batch])) return teacher!
  throw new Error("no batch")
}

const parts = ["image", "text", "synthetic"] as const

test.each([1, 3, 7, 9])("chunks of %i of 7 pairs give the embeddings of the whole", async (chunkSize) => {
  const [whole, chunked] = [await embeddings({}), await embeddings({ chunkSize })]
  expect(chunked.widths).toEqual([16, 16])
  for (const part of parts) expect(worst(chunked[part]!, whole[part]!), part).toBeLessThan(1e-6)
})

test("the run's precision is the towers'; embeddings are unit rows in float32", async () => {
  const [exact, half] = [await embeddings({}), await embeddings({ precision: "bfloat16" })]
  for (const part of parts) {
    expect(worst(half[part]!, exact[part]!), part).toBeGreaterThan(1e-5)
    expect(worst(half[part]!, exact[part]!), part).toBeLessThan(0.1)
    for (let row = 0; row < half[part]!.length; row += 16)
      expect(Math.hypot(...half[part]!.subarray(row, row + 16))).toBeCloseTo(1, 5)
  }
})

function worst(ours: Float32Array, expected: Float32Array): number {
  expect(ours.length).toBe(expected.length)
  return ours.reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i]!)), 0)
}
