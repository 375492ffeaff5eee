/** Makes the background of a generation and keeps it in the index: its vectors are all by the generation's own model. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { openScanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { vectorOffset } from "../store/vector-file.ts"
import { chooseBackgroundPictures } from "./background.ts"
import { backgroundPrompts } from "./prompts.ts"

/** Texts [N] -> [N, dim] */
export type EncodeTexts = (texts: string[]) => Promise<Float32Array>

/** Prompts are encoded in parts: a tower takes memory for each text. */
const promptsAtOnce = 32

/** Replaces the background of `generation`. Its rows have to be written. */
export async function makeBackground(writer: IndexWriter, generation: Generation, encodeTexts: EncodeTexts) {
  const { dim } = generation
  const prompts = await encodePrompts(encodeTexts, dim)
  const pictures = await backgroundPictures(writer.store, generation)
  const insert = (kind: string, number: number, name: string | null, vectors: Float32Array) => {
    const bytes = new Uint8Array(vectors.slice(number * dim, (number + 1) * dim).buffer)
    writer.store.run("INSERT INTO background VALUES (?, ?, ?, ?, ?)", generation.id, kind, number, name, bytes)
  }
  writer.store.writing(() => {
    writer.store.run("DELETE FROM background WHERE generation = ?", generation.id)
    for (const [number, name] of backgroundPrompts.entries()) insert("prompt", number, name, prompts)
    for (let number = 0; number < pictures.length / dim; number++) insert("picture", number, null, pictures)
  })
}

/** Unit vectors [P, dim] of `backgroundPrompts`. */
export async function encodePrompts(
  encodeTexts: EncodeTexts,
  dim: number,
  prompts: readonly string[] = backgroundPrompts,
): Promise<Float32Array> {
  const all = new Float32Array(prompts.length * dim)
  for (let first = 0; first < prompts.length; first += promptsAtOnce)
    all.set(await encodeTexts(prompts.slice(first, first + promptsAtOnce)), first * dim)
  return l2Normalize(all, dim)
}

async function backgroundPictures(store: IndexStore, generation: Generation): Promise<Float32Array> {
  const { dim } = generation
  const contents = store
    .rows("SELECT id, hex(hash) AS hash FROM contents WHERE copies > 0 AND id <= ?", store.count)
    .map(({ id, hash }) => ({ id: Number(id), hash: hash as string }))
  const chosen = chooseBackgroundPictures(contents)
  if (chosen.length === 0) return new Float32Array(0)
  const scanner = openScanner(store.vectorsPath(generation), { dim, offset: vectorOffset })
  try {
    const rows = await scanner.read(Uint32Array.from(chosen, ({ id }) => id - 1))
    const kept = chosen.flatMap((_, i) => (Number.isNaN(rows[i * dim]) ? [] : [rows.subarray(i * dim, (i + 1) * dim)]))
    const vectors = new Float32Array(kept.length * dim)
    for (const [i, row] of kept.entries()) vectors.set(row, i * dim)
    return vectors
  } finally {
    scanner.close()
  }
}
