/** A CLIP of two ONNX towers, whatever the layout of its folder and the runtime: pictures and texts to vectors. */
import { kindOf, requireImages, requireTexts } from "../core/arguments.ts"
import { inBatches } from "../core/arrays/batches.ts"
import { cosines, l2Normalize } from "../core/arrays/similarity.ts"
import { assert, UserError } from "../core/errors.ts"
import { longestSequence } from "../core/family/size-limits.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { type Preprocessing, preprocessBatch } from "../core/image/preprocess.ts"
import type { Abortable, Encoder } from "../core/inference/encoder.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import type { Towers } from "../core/inference/onnx-files.ts"
import type { LabelStore } from "../core/text/label-store.ts"
import { TextRows, type TokenRows } from "../core/text/token-rows.ts"
import { endOfText } from "../core/text/tokenizer.ts"
import { agreed, type ClipDescription, describeOurs } from "./description.ts"
import { type Graph, sizeOf } from "./graph.ts"
import { GraphTower, requireWidth, type TowerPlace } from "./tower.ts"

export interface Graphs {
  readonly image: Graph
  /** The same where one file holds both; null where there is no text tower. */
  readonly text: Graph | null
}

interface ModelOptions {
  /** Texts encoded at once. */
  readonly textBatch: number
  readonly place?: TowerPlace | null | undefined
  readonly labelStore?: LabelStore | null | undefined
}

/** Pictures encoded at once. On a processor 8 take 8 times as long as 1 (measured, MCi0), and memory grows with them. */
const IMAGE_BATCH = 16

interface ModelParts {
  readonly description: ClipDescription & { readonly embedDim: number }
  readonly manifest: Manifest | null
  readonly image: GraphTower
  readonly text: TextTower | null
}

/** A folder of a CLIP, opened. Vectors are as the towers give them, not of unit length. */
export class Model implements Encoder, AsyncDisposable {
  readonly name: string
  readonly preprocessing: Preprocessing
  readonly embedDim: number
  /** Factor on cosines before a softmax; null where no file says. */
  readonly logitScale: number | null
  /** Null in the layouts of others. */
  readonly manifest: Manifest | null
  /** Tokens of a text; null without a text tower. */
  readonly contextLength: number | null
  /** Where a thread finds the image tower, to open one of its own; null where it would gain nothing. */
  readonly place: TowerPlace | null
  /** Where vectors of labels are kept between runs; null where they are not. */
  readonly labelStore: LabelStore | null

  constructor(
    private readonly parts: ModelParts,
    private readonly options: ModelOptions,
  ) {
    const { name, preprocessing, embedDim, logitScale } = parts.description
    this.name = name
    this.preprocessing = preprocessing
    this.embedDim = embedDim
    this.logitScale = logitScale
    this.manifest = parts.manifest
    this.contextLength = parts.text?.rows.contextLength ?? null
    this.place = options.place ?? null
    this.labelStore = options.labelStore ?? null
  }

  async encodeImages(images: readonly Image8[], { signal }: Abortable = {}): Promise<Float32Array> {
    requireImages(images)
    return inBatches(images.length, IMAGE_BATCH, (start, end) => {
      signal?.throwIfAborted()
      return this.encodePixels(preprocessBatch(images.slice(start, end), this.preprocessing), end - start)
    })
  }

  /** Normalised pixels [count, 3, size, size] -> [count, embedDim] */
  async encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    const { image } = this.parts
    requirePixels(pixels, count, this.preprocessing)
    return this.rows(await image.images(pixels, count), count, image)
  }

  async encodeTexts(texts: readonly string[], { signal }: Abortable = {}): Promise<Float32Array> {
    const { text } = this.parts
    requireTexts(texts, "texts", 'write ["a photo of a cat"]')
    if (!text) throw new UserError(`${this.name} has no text tower`, "use it for images only")
    return text.rows.encode(texts, this.options.textBatch, async (rows) => {
      signal?.throwIfAborted()
      return this.rows(await text.encode(rows), rows.lengths.length, text.tower)
    })
  }

  async dispose(): Promise<void> {
    const { image, text } = this.parts
    await Promise.all([image.graph.release(), text?.tower.graph.release()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private rows(found: Float32Array, count: number, { graph }: GraphTower): Float32Array {
    return requireWidth(found, count, this.embedDim, graph.file)
  }
}

function requirePixels(pixels: unknown, count: number, { size }: Preprocessing): void {
  if (pixels instanceof Float32Array && pixels.length === count * 3 * size * size) return
  const found = pixels instanceof Float32Array ? `${pixels.length} values` : kindOf(pixels)
  throw new UserError(
    `pixels must be a Float32Array of ${count} x 3 x ${size} x ${size} values, not ${found}`,
    "give what `preprocess` gives, picture after picture",
  )
}

/** The model of a folder of ours. Its files were compared with their model when it was written; nothing is run for this. */
export function modelOf(manifest: Manifest, graphs: Graphs, options: ModelOptions): Model {
  const description = { ...describeOurs(manifest), embedDim: manifest.embedDim }
  const { image, text } = towersOf(description, graphs)
  const rows = text && new TextTower(text, manifest.contextLength!, { trims: false })
  return new Model({ description, manifest, image, text: rows }, options)
}

/**
 * A model whose files say little of each other: what they say is checked against the graphs that are wanted, and these are
 * run once. Throws UserError when graphs and files are of different models, or a graph fails. Owns the graphs when it returns.
 */
export async function checkedModel(
  description: ClipDescription,
  graphs: Graphs,
  { towers = "both", ...options }: ModelOptions & Pick<ModelParts, "manifest"> & { readonly towers?: Towers },
): Promise<Model> {
  const { image, text: tower } = towersOf(description, graphs)
  assert(tower, `${description.name} has no text tower`)
  if (towers !== "text") await checkPixels(image, description.preprocessing.size)
  // A graph that takes a fixed number of pictures would compute most of them for nothing.
  const isFree = towers !== "text" && sizeOf((await image.input()).shape[0]) === null
  const untrimmed = towers === "image" ? null : await untrimmedTower(description, tower)
  const embedDim = await commonWidth(description, towers === "text" ? null : image, untrimmed)
  const form = untrimmed && (await textForm(description, untrimmed))
  const text = untrimmed && form && new TextTower(tower, untrimmed.rows.contextLength, form)
  return new Model(
    { description: { ...description, embedDim }, manifest: options.manifest, image, text },
    { ...options, place: isFree ? options.place : null },
  )
}

async function untrimmedTower(description: ClipDescription, tower: GraphTower): Promise<TextTower> {
  return new TextTower(tower, await lengthOfTexts(description, tower), { trims: false })
}

function towersOf({ image, text, preprocessing: { size } }: ClipDescription, graphs: Graphs) {
  return {
    image: new GraphTower(graphs.image, image, size),
    text: text && graphs.text && new GraphTower(graphs.text, text, size),
  }
}

/** Whether a text's vector depends on what stands after its end. */
interface TextForm {
  /** Columns after the last end of text can be left out. */
  readonly trims: boolean
}

/** A tower that gets its rows from CLIP's tokenizer. */
class TextTower {
  readonly rows: TextRows

  constructor(
    readonly tower: GraphTower,
    contextLength: number,
    private readonly form: TextForm,
  ) {
    this.rows = new TextRows(contextLength)
  }

  /** [N, embedDim] */
  encode({ ids, lengths }: TokenRows, { trims, padding = 0n }: TextForm & { readonly padding?: bigint } = this.form) {
    const { contextLength } = this.rows
    const length = trims ? Math.max(...lengths) : contextLength
    const fed = new BigInt64Array(lengths.length * length).fill(padding)
    lengths.forEach((own, i) => {
      fed.set(ids.subarray(i * contextLength, i * contextLength + own), i * length)
    })
    return this.tower.texts(fed, lengths)
  }

  /** One fixed text in this form. */
  probe(form: TextForm & { readonly padding?: bigint }): Promise<Float32Array> {
    return this.encode(this.rows.tokens(["a photo of a cat"]), form)
  }
}

async function checkPixels(tower: GraphTower, size: number): Promise<void> {
  const { shape } = await tower.input()
  const [, channels, height, width] = shape
  if (shape.length === 4 && [3, null].includes(sizeOf(channels))) {
    const sides = [height, width].map((side) => sizeOf(side) ?? size)
    if (sides.every((side) => side === size)) return
  }
  throw new UserError(
    `${tower.graph.file} takes pixels [${shape.join(", ")}], and the preprocessing gives [N, 3, ${size}, ${size}]`,
    "the files are of different models",
  )
}

async function lengthOfTexts({ name, contextLength }: ClipDescription, tower: GraphTower): Promise<number> {
  const length = agreed(`${name}: tokens of a text`, {
    [tower.graph.file]: sizeOf((await tower.input()).shape[1]),
    "its files": contextLength,
  })
  if (length === null) {
    throw new UserError(
      `${name}: no file says how many tokens a text has`,
      "add model_max_length to tokenizer_config.json",
    )
  }
  if (length <= longestSequence) return length
  throw new UserError(
    `${name}: texts of ${length} tokens; at most ${longestSequence} are possible`,
    "the file of the text tower is damaged: get it again",
  )
}

/** Runs the towers once: what they give must be numbers, and of one width. */
async function commonWidth(
  description: ClipDescription,
  image: GraphTower | null,
  text: TextTower | null,
): Promise<number> {
  const { size } = description.preprocessing
  const ofGrey = image && (await finiteRow(image.graph, image.images(new Float32Array(3 * size * size), 1)))
  const ofText = text && (await finiteRow(text.tower.graph, text.probe({ trims: false })))
  const width = agreed(`${description.name}: width of the embeddings`, {
    ...(image && { [image.graph.file]: ofGrey?.length }),
    ...(text && { [`${text.tower.graph.file} for texts`]: ofText?.length }),
    "its configuration": description.embedDim,
  })
  return width!
}

async function finiteRow({ file }: Graph, computed: Promise<Float32Array>): Promise<Float32Array> {
  const row = await computed
  if (row.every(Number.isFinite)) return row
  throw new UserError(`${file} gives values that are not numbers`)
}

/**
 * A causal tower, or one with a mask, does not see padding: then it matters to nobody, and columns can be left out. One
 * that sees it wants the padding it was trained with, which is 0 in every model with this tokenizer.
 */
async function textForm({ name, padding }: ClipDescription, text: TextTower): Promise<TextForm> {
  const zeros = await text.probe({ trims: false })
  const ends = await text.probe({ trims: false, padding: BigInt(endOfText) })
  if (isSame(zeros, ends)) {
    const isFree = sizeOf((await text.tower.input()).shape[1]) === null
    return { trims: isFree && isSame(zeros, await text.probe({ trims: true })) }
  }
  if (padding === 0) return { trims: false }
  throw new UserError(
    `${name}: the text tower sees its padding, and the tokenizer ${padding === null ? "does not say what it pads with" : `pads with ${padding}`}`,
    'towers with CLIP\'s tokenizer that see their padding were trained on 0: set pad_token to "!" if this one was',
  )
}

/** Two encodings of a text by one graph are the same one above this cosine; float16 rounds by a millionth of it. */
const sameText = 0.99999

function isSame(a: Float32Array, b: Float32Array): boolean {
  return cosines(l2Normalize(a.slice(), a.length), l2Normalize(b.slice(), b.length), a.length)[0]! > sameText
}
