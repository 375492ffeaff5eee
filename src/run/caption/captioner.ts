/**
 * Pictures to captions through an exported captioner, on whatever runtime a host gives. An image is encoded once,
 * however many captions it gets; each token of a caption is computed once.
 */

import { requireCount, requireImages, requireTexts } from "../../core/arguments.ts"
import { fnv1a } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { preprocessBatch } from "../../core/image/preprocess.ts"
import type { BegunDecoder, CaptionRuntime, Values } from "../../core/inference/caption-decoder.ts"
import { type Manifest, memoryName, type TowerFile } from "../../core/inference/manifest.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import type { Graph } from "../graph.ts"
import { captionText, generate, rowsPerCaption } from "./generate.ts"
import { type GenerateOptions, generateOptions } from "./options.ts"

/** What captioning needs to know of a model. */
export interface CaptionerModel extends Pick<Manifest, "name" | "preprocessing"> {
  readonly decoder: NonNullable<Manifest["decoder"]>
}

export interface CaptionOptions extends Partial<GenerateOptions> {
  /** Captions of each image (default: 1). Beam search gives the same one each time. */
  readonly perImage?: number
  /** A caption depends on this, on its number and on `keys` only (default: 0). */
  readonly seed?: number
  /** A name of each image, so that its captions do not depend on its place (default: the place). */
  readonly keys?: readonly string[]
  /** Keeps what follows the first full stop. */
  readonly whole?: boolean
}

export class Captioner<Model extends CaptionerModel = CaptionerModel> implements AsyncDisposable {
  private tokenizer: Tokenizer | null = null

  constructor(
    readonly manifest: Model,
    private readonly runtime: CaptionRuntime,
  ) {}

  /** Texts of each image. */
  async caption(images: readonly Image8[], options: CaptionOptions = {}): Promise<string[][]> {
    const ids = await this.captionIds(images, options)
    this.tokenizer ??= new Tokenizer()
    const { tokenizer } = this
    return ids.map((captions) =>
      captions.map((caption) => captionText(caption, tokenizer, { whole: options.whole ?? false })),
    )
  }

  /** Token ids of each image's captions. */
  async captionIds(images: readonly Image8[], options: CaptionOptions = {}): Promise<number[][][]> {
    requireImages(images)
    const { perImage = 1, seed = 0, keys = images.map((_, i) => String(i)), whole: _, ...given } = options
    requireKeys(keys, images.length)
    requireCount("perImage", perImage)
    const checked = generateOptions(given, this.manifest.decoder.contextLength)
    const seeds = keys.flatMap((key) => Array.from({ length: perImage }, (_, n) => fnv1a(`${seed} ${n} ${key}`)))
    using decoder = await this.runtime.begin(this.pixels(images), perImage * rowsPerCaption(checked))
    const captions = await generate(decoder, seeds, checked)
    return images.map((_, i) => captions.slice(i * perImage, (i + 1) * perImage))
  }

  dispose(): Promise<void> {
    return this.runtime.release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private pixels(images: readonly Image8[]): Values {
    const { preprocessing } = this.manifest
    const { size } = preprocessing
    return { data: preprocessBatch(images, preprocessing), shape: [images.length, 3, size, size] }
  }
}

/** @param model for the message: its name, and where it is if there is more to say */
export function withoutDecoder(model: string): UserError {
  return new UserError(`${model} is not a captioner: it has no decoder`, "use a CoCa model")
}

/** Throws UserError where they are not one name for each of `count` images. */
export function requireKeys(keys: unknown, count: number): asserts keys is readonly string[] {
  requireTexts(keys, "keys", "give a name of each image, or leave them out")
  if (keys.length !== count) throw new UserError(`${keys.length} keys were given for ${count} images`)
}

/** The two graphs of an exported captioner, and their inputs and outputs. */
interface CaptionerGraphs {
  /** Pixels [N, 3, size, size] -> what the images are to the decoder, [N, Q, memoryWidth]. */
  readonly image: { readonly graph: Graph } & Pick<TowerFile, "input">
  /** One token more for each row: ids [N, 1], cache [N, S, cacheWidth], memory -> logits [N, vocabSize], cache. */
  readonly decoder: { readonly graph: Graph } & Pick<TowerFile, "input" | "output">
}

/**
 * The captioner of a manifest, which owns its graphs; null where there is no decoder.
 *
 * @param open a graph by its file
 */
export function captionerOf(
  manifest: Manifest,
  image: Graph,
  open: (file: string) => Graph,
): Captioner<Manifest & CaptionerModel> | null {
  const { decoder, towers } = manifest
  if (!decoder || !towers.decoder) return null
  const graphs = {
    image: { ...towers.image, graph: image },
    decoder: { ...towers.decoder, graph: open(towers.decoder.file) },
  }
  return new Captioner({ ...manifest, decoder }, new GraphRuntime(decoder, graphs))
}

/** Two graphs, with what stands between them kept here. */
class GraphRuntime implements CaptionRuntime {
  constructor(
    private readonly sizes: CaptionerModel["decoder"],
    private readonly graphs: CaptionerGraphs,
  ) {}

  async begin(pixels: Values, rowsPerImage: number): Promise<BegunDecoder> {
    const { graph, input } = this.graphs.image
    const { [memoryName]: memory } = await graph.run({ [input]: pixels }, [memoryName])
    return new CachedDecoder(this.sizes, this.graphs.decoder, repeatRows(memory, rowsPerImage))
  }

  async release(): Promise<void> {
    await Promise.all([this.graphs.image.graph.release(), this.graphs.decoder.graph.release()])
  }
}

/** Keeps the cache between the steps, and only the rows that go on. */
class CachedDecoder implements BegunDecoder {
  readonly vocabSize: number
  readonly contextLength: number
  private cache: Values
  private memory: Values

  constructor(
    sizes: CaptionerModel["decoder"],
    private readonly decoder: CaptionerGraphs["decoder"],
    memory: Values,
  ) {
    this.vocabSize = sizes.vocabSize
    this.contextLength = sizes.contextLength
    this.memory = memory
    this.cache = { data: new Float32Array(0), shape: [memory.shape[0]!, 0, sizes.cacheWidth] }
  }

  async step(tokens: readonly number[], parents: readonly number[] | null): Promise<Float32Array> {
    if (parents && !isIdentity(parents, this.cache.shape[0]!)) {
      // Beams of an image share its memory, so rows that only change places within it copy more than they must.
      this.cache = takeRows(this.cache, parents)
      this.memory = takeRows(this.memory, parents)
    }
    const { graph, input, output } = this.decoder
    const ids = { data: BigInt64Array.from(tokens, BigInt), shape: [tokens.length, 1] }
    const feeds = { [input]: ids, past: this.cache, [memoryName]: this.memory }
    const { [output]: logits, present } = await graph.run(feeds, [output, "present"])
    this.cache = present!
    return logits!.data
  }

  /** Nothing here lives outside the heap. */
  [Symbol.dispose](): void {}
}

/** Whether rows in this order are all `count` rows as they are. */
export function isIdentity(rows: readonly number[], count: number): boolean {
  return rows.length === count && rows.every((row, i) => row === i)
}

function takeRows({ data, shape }: Values, rows: readonly number[]): Values {
  const size = data.length / shape[0]!
  const taken = new Float32Array(rows.length * size)
  for (const [i, row] of rows.entries()) taken.set(data.subarray(row * size, (row + 1) * size), i * size)
  return { data: taken, shape: [rows.length, ...shape.slice(1)] }
}

function repeatRows(values: Values, times: number): Values {
  if (times === 1) return values
  return takeRows(
    values,
    Array.from({ length: values.shape[0]! * times }, (_, i) => Math.floor(i / times)),
  )
}
