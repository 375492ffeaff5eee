/** Pictures and texts to vectors through two exported towers, on whatever runtime a host gives. */

import { UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { preprocess } from "../core/image/preprocess.ts"
import type { Encoder } from "../core/inference/encoder.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"

/** One tower on a runtime: rows of input to rows of embeddings, [batch, embedDim]. */
export interface Tower<Input> {
  run(input: Input, shape: readonly number[]): Promise<Float32Array>
  /** Frees the model; the tower cannot be used again. */
  release(): Promise<void>
}

export interface Towers {
  readonly image: Tower<Float32Array>
  /** Null where only images can be encoded. */
  readonly text: Tower<BigInt64Array> | null
}

/** Rows a tower takes at once. On a processor 8 take 8 times as long as 1 (measured, MCi0), and memory grows with them. */
const BATCH = 16

/** A model directory, loaded. Vectors are as the towers give them, not of unit length. */
export class Model implements Encoder, AsyncDisposable {
  /** Made when the first text comes: its tables take a quarter of a second. */
  private tokenizer: Tokenizer | null = null

  constructor(
    readonly manifest: Manifest,
    private readonly towers: Towers,
  ) {}

  get embedDim(): number {
    return this.manifest.embedDim
  }

  async encodeImages(images: readonly Image8[]): Promise<Float32Array> {
    const { preprocessing } = this.manifest
    const { size } = preprocessing
    return this.inBatches(images, (batch) => {
      const pixels = new Float32Array(batch.length * 3 * size * size)
      batch.forEach((image, i) => {
        preprocess(image, preprocessing, pixels.subarray(i * 3 * size * size, (i + 1) * 3 * size * size))
      })
      return this.towers.image.run(pixels, [batch.length, 3, size, size])
    })
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const { text } = this.towers
    const { name, contextLength } = this.manifest
    if (!text || contextLength === null) throw new UserError(`${name} has no text tower`, "use it for images only")
    this.tokenizer ??= new Tokenizer()
    const { tokenizer } = this
    return this.inBatches(texts, (batch) => {
      const { ids, shape } = tokenizer.encodeBatch(batch, contextLength)
      return text.run(ids, shape)
    })
  }

  async dispose(): Promise<void> {
    await Promise.all([this.towers.image.release(), this.towers.text?.release()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private async inBatches<T>(items: readonly T[], encode: (batch: readonly T[]) => Promise<Float32Array>) {
    const vectors = new Float32Array(items.length * this.embedDim)
    for (let start = 0; start < items.length; start += BATCH) {
      vectors.set(await encode(items.slice(start, start + BATCH)), start * this.embedDim)
    }
    return vectors
  }
}
