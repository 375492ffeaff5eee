/**
 * An index of 200 pictures, whose files are not there, by a tiny model. Vectors, names, sizes, times and places follow from a
 * picture's number, so that tests can say what a search finds.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { float16ToFloat32, float32ToFloat16 } from "../src/core/arrays/half.ts"
import { l2Normalize } from "../src/core/arrays/similarity.ts"
import { exportModel } from "../src/export/export.ts"
import { findIndexModel } from "../src/search/query/find-index-model.ts"
import { IndexWriter } from "../src/search/store/index-writer.ts"
import type { ContentDetails, NewPicture } from "../src/search/store/picture-rows.ts"
import { loadModel } from "../src/weights/load-model.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

export const dim = 16
export const count = 200
export const pictures = join(tmpdir(), "no-such-pictures")
export const settings = { orientation: "apply", decode: "exact", store: "file" } as const

/** With a user's cache of its own until it is disposed. */
export class SmallIndex implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "small-index-"))
  readonly path = join(this.folder, "index")
  readonly model = join(this.folder, "tiny")
  private readonly cacheBefore = process.env.XDG_CACHE_HOME
  private copies = 0

  static async make(): Promise<SmallIndex> {
    const made = new SmallIndex()
    process.env.XDG_CACHE_HOME = join(made.folder, "cache")
    await exportModel(tinyModel(), tinyInfo, made.model)
    using writer = await made.empty(made.path)
    writer.addPictures(
      writer.active!,
      Array.from({ length: count }, (_, n) => pictureOf(n)),
    )
    return made
  }

  /** For tests that write to it. */
  copy(): string {
    const to = join(this.folder, `copy-${this.copies++}`)
    cpSync(this.path, to, { recursive: true })
    return to
  }

  async empty(path: string): Promise<IndexWriter> {
    const writer = await IndexWriter.open(path, "a test")
    const { identity } = await findIndexModel(this.model, null)
    writer.addGeneration({ model: "tiny", source: this.model, identity, dim, settings })
    writer.store.run("INSERT INTO roots (id, path) VALUES (1, ?)", pictures)
    return writer
  }

  async textVector(text: string): Promise<Float32Array> {
    await using open = await loadModel(this.model, { cache: false })
    return l2Normalize(await open.encodeTexts([text]), dim)
  }

  [Symbol.dispose](): void {
    if (this.cacheBefore === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = this.cacheBefore
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function vectorOf(n: number): Float32Array {
  const values = Float32Array.from({ length: dim }, (_, d) => Math.sin(n * 12.9898 + d * 78.233 + n * d))
  return l2Normalize(values, dim)
}

const seasons = ["winter", "summer"]

export function pictureOf(n: number, change: Partial<ContentDetails> = {}): NewPicture {
  const content: ContentDetails = {
    ...{ hash: Uint8Array.from({ length: 32 }, (_, i) => (i < 2 ? n >> (8 * i) : 7)), bytes: 1000 * (n + 1) },
    ...{ format: n % 4 === 0 ? "png" : "jpg", width: n % 3 === 0 ? 300 : 200, height: n % 3 === 2 ? 300 : 200 },
    ...{ orientation: 1, taken: n % 5 === 0 ? null : `20${10 + (n % 10)}-06-01T10:00:00`, lens: null },
    ...{
      camera: n % 2 === 0 ? "Google Pixel 7" : null,
      latitude: n % 2 ? n / 4 : null,
      longitude: n % 2 ? n / 2 : null,
    },
    ...{ caption: n === 3 ? 'a "quoted" 海辺 🐕 dog' : null, keywords: [], sharpness: n / count, ...change },
  }
  const path = `${n % 2 ? "a_b" : "ab"}/${seasons[n % 2]}${n < 10 ? "/beach" : ""}/IMG_${n}.jpg`
  return { content, vector: vectorOf(n), files: [{ root: 1, path, size: content.bytes, mtime: n }] }
}

/** As float16 stores them, in float64. */
export const stored = Array.from({ length: count }, (_, n) =>
  Float64Array.from(float16ToFloat32(float32ToFloat16(vectorOf(n)))),
)

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, d) => sum + value * b[d]!, 0)

/** Rows by their cosine with the query, the best first. */
export function brute(query: ArrayLike<number>, isIn: (n: number) => boolean = () => true): number[] {
  const rows = stored.map((row, n) => ({ n, score: dot(query, row) })).filter(({ n }) => isIn(n))
  return rows.sort((x, y) => y.score - x.score || x.n - y.n).map(({ n }) => n)
}

export const textTerm = (value: string, weight = 1) => ({ kind: "text", text: value, weight }) as const

export const rowsOf = (page: { hits: readonly { position: number }[] }) => page.hits.map(({ position }) => position)
