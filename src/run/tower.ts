/**
 * One tower of a CLIP in a graph: which input and output it is, how many rows it takes at once, and what else the graph
 * wants to be fed. N batch, L tokens, D embedDim.
 */
import { inBatches } from "../core/arrays/batches.ts"
import { UserError } from "../core/errors.ts"
import { endOfText, startOfText } from "../core/text/tokenizer.ts"
import { type Feed, type Graph, type Port, portNamed, sizeOf } from "./graph.ts"

const maskName = "attention_mask"

/** Names of the input and the output that matter. */
export interface TowerNames {
  readonly input: string
  readonly output: string
}

/** What opens an image tower again, in another thread: plain data. */
export interface TowerPlace {
  readonly directory: string
  /** Relative to the directory. */
  readonly file: string
  readonly names: TowerNames
  /** Height and width of its pictures, in pixels. */
  readonly imageSize: number
}

type Feeds = Readonly<Record<string, Feed>>

/** Where the graph holds both towers, the other one gets a blank row. */
export class GraphTower {
  constructor(
    readonly graph: Graph,
    private readonly names: TowerNames,
    /** Height and width of its pictures, in pixels. */
    private readonly imageSize: number,
  ) {}

  /** Throws UserError where the graph has no such input or output. */
  async input(): Promise<Port> {
    const { inputs, outputs } = await this.graph.ports()
    portNamed(outputs, this.names.output, "output", this.graph.file)
    return portNamed(inputs, this.names.input, "input", this.graph.file)
  }

  /** [N, 3, imageSize, imageSize] -> [N, D] */
  images(pixels: Float32Array, count: number): Promise<Float32Array> {
    const shape = [count, 3, this.imageSize, this.imageSize]
    return this.inGroups({ [this.names.input]: { data: pixels, shape } }, count)
  }

  /** [N, L] -> [N, D]. `lengths[i]` tokens of row i are text, the others padding. */
  async texts(ids: BigInt64Array, lengths: readonly number[]): Promise<Float32Array> {
    const shape = [lengths.length, ids.length / lengths.length]
    const isMasked = (await this.graph.ports()).inputs.some(({ name }) => name === maskName)
    const mask = isMasked && { [maskName]: { data: maskOf(lengths, shape[1]!), shape } }
    return this.inGroups({ [this.names.input]: { data: ids, shape }, ...mask }, lengths.length)
  }

  /** As many rows at once as the graph takes; where it takes a fixed number, the last group has rows twice. */
  private async inGroups(feeds: Feeds, count: number): Promise<Float32Array> {
    const { graph, names } = this
    const size = sizeOf((await this.input()).shape[0])
    const others = await this.blanks(feeds)
    return inBatches(count, size ?? count, async (start, end) => {
      const rows = Object.entries(feeds).map(([name, feed]) => [name, rowsOf(feed, start, end, size)] as const)
      const { [names.output]: found } = await graph.run({ ...Object.fromEntries(rows), ...others }, [names.output])
      const { data, shape } = found!
      return data.subarray(0, (data.length / shape[0]!) * (end - start))
    })
  }

  /** What the graph wants beside `feeds`. */
  private async blanks(feeds: Feeds): Promise<Feeds> {
    const { inputs } = await this.graph.ports()
    const others = inputs.filter(({ name }) => !(name in feeds))
    return Object.fromEntries(others.map((port) => [port.name, blankOf(port, this.imageSize, this.graph.file)]))
  }
}

/** What a tower gave. Throws UserError where it is not [count, embedDim]. */
export function requireWidth(found: Float32Array, count: number, embedDim: number, file: string): Float32Array {
  if (found.length === count * embedDim) return found
  throw new UserError(
    `${file} gives embeddings of ${found.length / count} values, and the model's have ${embedDim}`,
    "the files are of different models: copy or export the model again",
  )
}

/** Rows [start, end); where there must be `size` of them, the last one again and again. */
function rowsOf({ data, shape }: Feed, start: number, end: number, size: number | null): Feed {
  const width = data.length / shape[0]!
  const own = { data: data.subarray(start * width, end * width), shape: [end - start, ...shape.slice(1)] }
  if (size === null || end - start === size) return own
  const full = data instanceof Float32Array ? new Float32Array(size * width) : new BigInt64Array(size * width)
  for (let row = 0; row < size; row++) {
    const from = Math.min(start + row, end - 1) * width
    full.set(data.subarray(from, from + width) as never, row * width)
  }
  return { data: full, shape: [size, ...shape.slice(1)] }
}

function maskOf(lengths: readonly number[], length: number): BigInt64Array {
  const mask = new BigInt64Array(lengths.length * length)
  lengths.forEach((own, row) => {
    mask.fill(1n, row * length, row * length + own)
  })
  return mask
}

/** What the other tower of a graph gets: a grey picture, or a text without words. */
function blankOf({ name, shape }: Port, size: number, file: string): Feed {
  const rows = sizeOf(shape[0]) ?? 1
  if (name === "pixel_values") return { data: new Float32Array(rows * 3 * size * size), shape: [rows, 3, size, size] }
  if (name !== "input_ids" && name !== maskName) {
    throw new UserError(`${file} wants an input "${name}", which no CLIP has`, "export the two towers apart")
  }
  const length = sizeOf(shape[1]) ?? 2
  const row = Array.from({ length }, (_, i) => (name === maskName ? Number(i < 2) : ([startOfText, endOfText][i] ?? 0)))
  const data = BigInt64Array.from({ length: rows * length }, (_, i) => BigInt(row[i % length]!))
  return { data, shape: [rows, length] }
}
