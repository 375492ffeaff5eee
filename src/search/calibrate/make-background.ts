/** Makes the background of a generation and keeps it in the index: its vectors are all by the generation's own model. */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { openScanner } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { vectorOffset } from "../store/vector-file.ts"
import { type Background, mostBackgroundPictures } from "./background.ts"
import { type KeptBackground, statisticsOfText, statisticsText } from "./kept-statistics.ts"
import { backgroundPrompts, backgroundPromptsVersion } from "./prompts.ts"

/** Texts [N] -> [N, dim] */
export type EncodeTexts = (texts: string[]) => Promise<Float32Array>

/** Prompts are encoded in parts: a tower takes memory for each text. */
const promptsAtOnce = 32

/** Replaces the background of `generation`. Its rows have to be written. */
export async function makeBackground(
  writer: IndexWriter,
  generation: Generation,
  encodeTexts: EncodeTexts,
): Promise<void> {
  await addBackgroundPrompts(writer, generation, encodeTexts)
  await updateBackgroundPictures(writer, generation)
}

/** The captions' vectors, where the generation does not have those of this program. */
export async function addBackgroundPrompts(
  writer: IndexWriter,
  generation: Generation,
  encodeTexts: EncodeTexts,
): Promise<void> {
  const key = promptsKey(generation)
  if (writer.store.meta(key) === String(backgroundPromptsVersion)) return
  const vectors = await encodePrompts(encodeTexts, generation.dim)
  writer.store.writing(() => {
    replace(writer.store, generation, "prompt", vectors, backgroundPrompts)
    writer.setMeta(key, String(backgroundPromptsVersion))
  })
}

/** A sample of the pictures: those with the lowest hashes, in which few change while the index grows. */
export async function updateBackgroundPictures(writer: IndexWriter, generation: Generation): Promise<void> {
  const vectors = await backgroundPictures(writer.store, generation)
  writer.store.writing(() => {
    replace(writer.store, generation, "picture", vectors)
    const before = Number(writer.store.meta(backgroundKey(generation)) ?? "0")
    writer.setMeta(backgroundKey(generation), String(before + 1))
    writer.setMeta(statisticsKey(generation), keptText(writer.store, generation))
  })
}

/** The same for a generation with the same vectors, and its statistics too. */
export function copyBackground(writer: IndexWriter, from: Generation, to: Generation): void {
  const { store } = writer
  const copy = "INSERT INTO background SELECT ?, kind, number, name, vector FROM background WHERE generation = ?"
  store.writing(() => {
    store.run(copy, to.id, from.id)
    for (const keyOf of backgroundKeys) {
      const value = store.meta(keyOf(from))
      if (value !== null) writer.setMeta(keyOf(to), value)
    }
  })
}

/** Within a transaction: a generation takes the place of another one. */
export function renameBackground(store: IndexStore, from: Generation, to: Generation): void {
  store.run("UPDATE background SET generation = ? WHERE generation = ?", to.id, from.id)
  for (const keyOf of backgroundKeys) store.run("UPDATE meta SET key = ? WHERE key = ?", keyOf(to), keyOf(from))
}

function keptText(store: IndexStore, generation: Generation): string {
  return statisticsText(vectorsOf(store, generation), backgroundState(store, generation))
}

/** What an index has of a generation's background. Within a transaction. */
export function readBackground(store: IndexStore, generation: Generation): KeptBackground {
  const state = backgroundState(store, generation)
  const statistics = statisticsOfText(store.meta(statisticsKey(generation)), state, generation.dim)
  return { ...vectorsOf(store, generation), statistics }
}

function vectorsOf(store: IndexStore, generation: Generation): Background {
  const [prompts, pictures] = (["prompt", "picture"] as const).map((kind) => backgroundRows(store, generation, kind))
  return { dim: generation.dim, prompts: prompts!, pictures: pictures! }
}

function backgroundRows(store: IndexStore, { id, dim }: Generation, kind: "prompt" | "picture"): Float32Array {
  const found = store.rows("SELECT vector FROM background WHERE generation = ? AND kind = ? ORDER BY number", id, kind)
  const rows = new Float32Array(found.length * dim)
  for (const [i, { vector }] of found.entries())
    rows.set(new Float32Array((vector as Uint8Array).slice().buffer), i * dim)
  return rows
}

/** Another text after each change of its vectors. */
export function backgroundState(store: IndexStore, generation: Generation): string {
  return [backgroundKey, promptsKey].map((key) => store.meta(key(generation)) ?? "none").join(" ")
}

/** What is raised when the pictures of a background change. */
export function backgroundKey({ id }: Pick<Generation, "id">): string {
  return `background ${id}`
}

function promptsKey({ id }: Pick<Generation, "id">): string {
  return `prompts ${id}`
}

/** Where its statistics are kept, which are of one state of it. */
export function statisticsKey({ id }: Pick<Generation, "id">): string {
  return `statistics ${id}`
}

/** What stands in the index of a background beside its vectors. */
const backgroundKeys = [backgroundKey, promptsKey, statisticsKey]

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

/** More are looked up than are needed: some may have no vector. */
const lookedUp = 2 * mostBackgroundPictures

async function backgroundPictures(store: IndexStore, generation: Generation): Promise<Float32Array> {
  const { dim } = generation
  // The index of hashes has them in order.
  const chosen = store.rows("SELECT id FROM contents WHERE copies > 0 ORDER BY hash LIMIT ?", lookedUp)
  if (chosen.length === 0) return new Float32Array(0)
  const scanner = openScanner(store.vectorsPath(generation), { dim, offset: vectorOffset })
  try {
    const rows = await scanner.read(Uint32Array.from(chosen, ({ id }) => Number(id) - 1))
    return withoutMissing(rows, dim).slice(0, mostBackgroundPictures * dim)
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
  return rows.subarray(0, kept)
}

function replace(
  store: IndexStore,
  { id, dim }: Generation,
  kind: "prompt" | "picture",
  vectors: Float32Array,
  names: readonly string[] = [],
): void {
  store.run("DELETE FROM background WHERE generation = ? AND kind = ?", id, kind)
  for (let number = 0; number * dim < vectors.length; number++) {
    const bytes = new Uint8Array(vectors.slice(number * dim, (number + 1) * dim).buffer)
    store.run("INSERT INTO background VALUES (?, ?, ?, ?, ?)", id, kind, number, names[number] ?? null, bytes)
  }
}
