/**
 * A CLIP of two graphs as a teacher. What the files say of it is checked against the graphs, and both are run once,
 * before anything else: a teacher that was opened gives embeddings.
 */

import { cosines, l2Normalize } from "../../core/arrays/similarity.ts"
import { UserError } from "../../core/errors.ts"
import { longestSequence } from "../../core/family/size-limits.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import { TextRows, type TokenRows, textBatch } from "../../core/text/token-rows.ts"
import { endOfText } from "../../core/text/tokenizer.ts"
import { agreed, type ClipDescription } from "./description.ts"
import { type Graph, sizeOf } from "./graph.ts"
import { GraphTower } from "./towers.ts"

export interface Graphs {
  /** The same where one file holds both. */
  readonly image: Graph
  readonly text: Graph
}

/** Two encodings of a text by one graph are the same one above this cosine; float16 rounds by a millionth of it. */
const sameText = 0.99999

/** Whether a text's vector depends on what stands behind its end. */
interface TextForm {
  /** Columns behind the last end of text can be left out. */
  readonly trims: boolean
}

/** Throws UserError when graphs and files are of different models, or a graph fails. Owns the graphs when it returns. */
export async function onnxTeacher(
  description: ClipDescription,
  graphs: Graphs,
  more: { readonly identity: string; readonly textBatch?: number },
): Promise<Teacher> {
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
  if (contextLength > longestSequence) {
    throw new UserError(
      `${description.name}: texts of ${contextLength} tokens; at most ${longestSequence} are possible`,
      "the file of the text tower is damaged: get it again",
    )
  }
  const tokens = new TextInput(text, contextLength, size)
  const embedDim = await commonWidth(description, image, tokens)
  const form = await textForm(description, tokens)
  return new OnnxTeacher(description, { image, tokens }, form, { embedDim, textBatch: textBatch.cpu, ...more })
}

class OnnxTeacher implements Teacher {
  readonly name: string
  readonly preprocessing: Teacher["preprocessing"]
  readonly embedDim: number
  readonly identity: string
  private readonly textBatch: number

  constructor(
    description: ClipDescription,
    private readonly towers: { readonly image: GraphTower; readonly tokens: TextInput },
    private readonly form: TextForm,
    { embedDim, identity, textBatch }: { embedDim: number; identity: string; textBatch: number },
  ) {
    this.name = description.name
    this.preprocessing = description.preprocessing
    this.embedDim = embedDim
    this.identity = identity
    this.textBatch = textBatch
  }

  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    return this.towers.image.images(pixels, count, this.preprocessing.size)
  }

  encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const { tokens } = this.towers
    const sizes = { size: this.textBatch, width: this.embedDim }
    return tokens.texts.encode(texts, sizes, (rows) => tokens.run(rows, this.form))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { image, tokens } = this.towers
    await Promise.all([...new Set([image.graph, tokens.tower.graph])].map((graph) => graph.release()))
  }
}

/** A text tower behind CLIP's tokenizer. */
class TextInput {
  readonly texts: TextRows

  constructor(
    readonly tower: GraphTower,
    contextLength: number,
    private readonly imageSize: number,
  ) {
    this.texts = new TextRows(contextLength)
  }

  /** Whether rows may be shorter than the context. */
  get isFree(): boolean {
    return sizeOf(this.tower.input.shape[1]) === null
  }

  run({ ids, lengths }: TokenRows, { trims, padding = 0n }: TextForm & { readonly padding?: bigint }) {
    const { contextLength } = this.texts
    const length = trims ? Math.max(...lengths) : contextLength
    const fed = new BigInt64Array(lengths.length * length).fill(padding)
    lengths.forEach((own, i) => {
      fed.set(ids.subarray(i * contextLength, i * contextLength + own), i * length)
    })
    return this.tower.texts(fed, lengths, length, this.imageSize)
  }

  /** One fixed text in this form. */
  probe(form: TextForm & { readonly padding?: bigint }): Promise<Float32Array> {
    return this.run(this.texts.tokens(["a photo of a cat"]), form)
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
  const text = await tokens.probe({ trims: false })
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

/**
 * A causal tower, or one with a mask, does not see padding: then it matters to nobody, and columns can be left out. One
 * that sees it wants the padding it was trained with, which is 0 in every model with this tokenizer.
 */
async function textForm({ name, padding }: ClipDescription, tokens: TextInput): Promise<TextForm> {
  const zeros = await tokens.probe({ trims: false })
  const ends = await tokens.probe({ trims: false, padding: BigInt(endOfText) })
  if (isSame(zeros, ends)) {
    return { trims: tokens.isFree && isSame(zeros, await tokens.probe({ trims: true })) }
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
