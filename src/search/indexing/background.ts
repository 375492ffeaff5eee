/** The background of a generation, which scores are compared with: it is made with the index, and kept in it. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { mostBackgroundPictures } from "../calibrate/background.ts"
import { backgroundPrompts, backgroundPromptsVersion } from "../calibrate/prompts.ts"
import { openScanner } from "../scan/scanner.ts"
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { vectorOffset } from "../store/vector-file.ts"

interface TextEncoder {
  encodeTexts(texts: readonly string[]): Promise<Float32Array>
}

/** The captions' vectors, once for a generation. */
export async function addBackgroundPrompts(
  writer: IndexWriter,
  generation: Generation,
  encoder: TextEncoder,
): Promise<void> {
  const key = `prompts-${generation.id}`
  if (writer.store.meta(key) === String(backgroundPromptsVersion)) return
  const vectors = l2Normalize((await encoder.encodeTexts(backgroundPrompts)).slice(), generation.dim)
  writer.store.writing(() => {
    replace(writer, generation, "prompt", vectors, backgroundPrompts)
    writer.setMeta(key, String(backgroundPromptsVersion))
  })
}

/** A sample of the pictures: those with the lowest hashes, in which few change while the index grows. */
export async function updateBackgroundPictures(writer: IndexWriter, generation: Generation): Promise<void> {
  const { store } = writer
  if (store.count === 0) return
  const chosen = store
    .rows("SELECT id FROM contents WHERE copies > 0 ORDER BY hash LIMIT ?", 2 * mostBackgroundPictures)
    .map(({ id }) => Number(id) - 1)
  const scanner = openScanner(store.vectorsPath(generation), { dim: generation.dim, offset: vectorOffset })
  try {
    const rows = await scanner.read(Uint32Array.from(chosen))
    const vectors = withoutMissing(rows, generation.dim).slice(0, mostBackgroundPictures * generation.dim)
    store.writing(() => replace(writer, generation, "picture", vectors))
  } finally {
    scanner.close()
  }
}

function withoutMissing(rows: Float32Array, dim: number): Float32Array {
  let kept = 0
  for (let row = 0; row < rows.length; row += dim) {
    if (Number.isNaN(rows[row])) continue
    rows.copyWithin(kept, row, row + dim)
    kept += dim
  }
  return rows.slice(0, kept)
}

function replace(
  { store }: IndexWriter,
  { id, dim }: Generation,
  kind: "prompt" | "picture",
  vectors: Float32Array,
  names: readonly string[] = [],
): void {
  store.run("DELETE FROM background WHERE generation = ? AND kind = ?", id, kind)
  for (let number = 0; number * dim < vectors.length; number++) {
    const row = vectors.slice(number * dim, (number + 1) * dim)
    const values = [id, kind, number, names[number] ?? null, new Uint8Array(row.buffer)] as const
    store.run("INSERT INTO background VALUES (?, ?, ?, ?, ?)", ...values)
  }
}
