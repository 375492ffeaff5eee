/**
 * A CLIP of two graphs as a teacher. What the files say of it is checked against the graphs, and both are run once,
 * before anything else: a teacher that was opened gives embeddings.
 */
import { UserError } from "../../core/errors.ts"
import { cosines, l2Normalize } from "../../core/similarity.ts"
import type { Teacher } from "../../core/teacher.ts"
import { endOfText, Tokenizer } from "../../core/tokenizer.ts"
import { agreed, type ClipDescription } from "./description.ts"
import { type Graph, sizeOf } from "./graph.ts"
import { GraphTower } from "./towers.ts"

export interface Graphs {
  /** The same where one file holds both. */
  readonly image: Graph
  readonly text: Graph
}

/** Texts encoded at once. More do not go faster on a processor, and memory grows with them. */
const textBatch = 64

/** Two encodings of a text by one graph are the same one above this cosine; float16 rounds by a millionth of it. */
const sameText = 0.99999

/** Whether a text's vector depends on what stands behind its end. */
interface TextForm {
  /** Columns behind the last end of text can be left out. */
  readonly trims: boolean
}

/** Throws UserError when graphs and files are of different models, or a graph fails. Owns the graphs when it returns. */
export async function onnxTeacher(description: ClipDescription, graphs: Graphs, identity: string): Promise<Teacher> {
  const image = new GraphTower(graphs.image, description.image)
  const text = new GraphTower(graphs.text, description.text)
  const { size } = description.preprocessing
  checkPixels(image, size)
  const contextLength = agreed(`${description.name}: tokens of a text`, {
    [text.graph.file]: sizeOf(text.input.shape[1]),
    "its files": description.contextLength,
  })
  if (contextLength === null) {
    throw new UserError(
      `${description.name}: no file says how many tokens a text has`,
      "add model_max_length to tokenizer_config.json",
    )
  }
  const tokens = new TextInput(text, contextLength, size)
  const embedDim = await commonWidth(description, image, tokens)
  const form = await textForm(description, tokens)
  return new OnnxTeacher(description, { image, tokens }, form, { embedDim, identity })
}

class OnnxTeacher implements Teacher {
  readonly name: string
  readonly preprocessing: Teacher["preprocessing"]
  readonly embedDim: number
  readonly identity: string

  constructor(
    description: ClipDescription,
    private readonly towers: { readonly image: GraphTower; readonly tokens: TextInput },
    private readonly form: TextForm,
    { embedDim, identity }: { readonly embedDim: number; readonly identity: string },
  ) {
    this.name = description.name
    this.preprocessing = description.preprocessing
    this.embedDim = embedDim
    this.identity = identity
  }

  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    return this.towers.image.images(pixels, count, this.preprocessing.size)
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const vectors = new Float32Array(texts.length * this.embedDim)
    for (let start = 0; start < texts.length; start += textBatch) {
      const rows = await this.towers.tokens.encode(texts.slice(start, start + textBatch), this.form)
      vectors.set(rows, start * this.embedDim)
    }
    return vectors
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { image, tokens } = this.towers
    await Promise.all([...new Set([image.graph, tokens.tower.graph])].map((graph) => graph.release()))
  }
}

/** A text tower behind CLIP's tokenizer. */
class TextInput {
  private readonly tokenizer = new Tokenizer()

  constructor(
    readonly tower: GraphTower,
    private readonly contextLength: number,
    private readonly imageSize: number,
  ) {}

  /** Whether rows may be shorter than the context. */
  get isFree(): boolean {
    return sizeOf(this.tower.input.shape[1]) === null
  }

  encode(texts: readonly string[], { trims, padding = 0n }: TextForm & { readonly padding?: bigint }) {
    const { ids } = this.tokenizer.encodeBatch(texts, this.contextLength)
    const rows = texts.map((_, i) => ids.subarray(i * this.contextLength, (i + 1) * this.contextLength))
    const lengths = rows.map((row) => row.indexOf(BigInt(endOfText)) + 1)
    const length = trims ? Math.max(...lengths) : this.contextLength
    const fed = new BigInt64Array(texts.length * length).fill(padding)
    rows.forEach((row, i) => {
      fed.set(row.subarray(0, lengths[i]!), i * length)
    })
    return this.tower.texts(fed, lengths, length, this.imageSize)
  }
}

function checkPixels({ input, graph }: GraphTower, size: number): void {
  const [, channels, height, width] = input.shape
  if (input.shape.length === 4 && [3, null].includes(sizeOf(channels))) {
    const sides = [height, width].map((side) => sizeOf(side) ?? size)
    if (sides.every((side) => side === size)) return
  }
  throw new UserError(
    `${graph.file} takes pixels [${input.shape.join(", ")}], and the preprocessing gives [N, 3, ${size}, ${size}]`,
    "the files are of different models",
  )
}

/** Runs both towers once: what they give must be numbers, and of one width. */
async function commonWidth(description: ClipDescription, image: GraphTower, tokens: TextInput): Promise<number> {
  const { size } = description.preprocessing
  const grey = await image.images(new Float32Array(3 * size * size), 1, size)
  const text = await tokens.encode([probe], { trims: false })
  for (const [file, row] of [[image.graph.file, grey] as const, [tokens.tower.graph.file, text] as const]) {
    if (!row.every(Number.isFinite)) throw new UserError(`${file} gives values that are not numbers`)
  }
  const width = agreed(`${description.name}: width of the embeddings`, {
    [image.graph.file]: grey.length,
    [`${tokens.tower.graph.file} for texts`]: text.length,
    "its configuration": description.embedDim,
  })
  return width!
}

const probe = "a photo of a cat"

/**
 * A causal tower, or one with a mask, does not see padding: then it matters to nobody, and columns can be left out. One
 * that sees it wants the padding it was trained with, which is 0 in every model with this tokenizer.
 */
async function textForm({ name, padding }: ClipDescription, tokens: TextInput): Promise<TextForm> {
  const zeros = await tokens.encode([probe], { trims: false })
  const ends = await tokens.encode([probe], { trims: false, padding: BigInt(endOfText) })
  if (isSame(zeros, ends)) {
    return { trims: tokens.isFree && isSame(zeros, await tokens.encode([probe], { trims: true })) }
  }
  if (padding === 0) return { trims: false }
  throw new UserError(
    `${name}: the text tower sees its padding, and the tokenizer ${padding === null ? "does not say what it pads with" : `pads with ${padding}`}`,
    'towers with CLIP\'s tokenizer that see their padding were trained on 0: set pad_token to "!" if this one was',
  )
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return cosines(l2Normalize(a.slice(), a.length), l2Normalize(b.slice(), b.length), a.length)[0]! > sameText
}
