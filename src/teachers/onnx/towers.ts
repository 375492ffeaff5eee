/**
 * Two graphs as the towers of a CLIP: which inputs and outputs, how many rows at once, and whether they fit what the files
 * beside them say. Shapes: N batch, L tokens.
 */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { UserError } from "../../core/errors.ts"
import { endOfText, startOfText } from "../../core/text/tokenizer.ts"
import type { Names } from "./description.ts"
import { type Feed, type Graph, type Port, sizeOf } from "./graph.ts"

const maskName = "attention_mask"

export interface ImageRows {
  /** [N, 3, size, size] */
  readonly pixels: Float32Array
  readonly size: number
}

/** One tower of a graph. Where the graph holds both, the other one gets a blank row. */
export class GraphTower {
  /** Rows it takes at once; null: any number. */
  readonly rows: number | null
  readonly input: Port
  private readonly others: readonly Port[]

  constructor(
    readonly graph: Graph,
    private readonly names: Names,
  ) {
    const { file, inputs, outputs } = graph
    this.input = portNamed(inputs, names.input, "input", file)
    portNamed(outputs, names.output, "output", file)
    this.others = inputs.filter(({ name }) => name !== names.input)
    this.rows = sizeOf(this.input.shape[0])
  }

  /** [N, 3, size, size] -> rows of embeddings. */
  images(pixels: Float32Array, count: number, size: number): Promise<Float32Array> {
    const others = this.blanks((port) => blankOf(port, size, this.graph.file))
    const width = 3 * size * size
    return this.inGroups(count, (start, end) => ({
      [this.names.input]: { data: rowsOf(pixels, width, start, end), shape: [end - start, 3, size, size] },
      ...others,
    }))
  }

  /** [N, L] -> rows of embeddings. `lengths[i]` tokens of row i are text, the others padding. */
  texts(ids: BigInt64Array, lengths: readonly number[], length: number, size: number): Promise<Float32Array> {
    const others = this.blanks((port) => (port.name === maskName ? null : blankOf(port, size, this.graph.file)))
    const isMasked = this.others.some(({ name }) => name === maskName)
    return this.inGroups(lengths.length, (start, end) => {
      const shape = [end - start, length]
      const feeds = { [this.names.input]: { data: rowsOf(ids, length, start, end), shape }, ...others }
      return isMasked ? { ...feeds, [maskName]: { data: maskOf(lengths.slice(start, end), length), shape } } : feeds
    })
  }

  private blanks(blank: (port: Port) => Feed | null): Record<string, Feed> {
    const feeds = this.others.map((port) => [port.name, blank(port)] as const)
    return Object.fromEntries(feeds.filter((entry): entry is [string, Feed] => entry[1] !== null))
  }

  /** As many rows at once as the graph takes; where it takes a fixed number, the last group has rows twice. */
  private async inGroups(count: number, feedsOf: (start: number, end: number) => Record<string, Feed>) {
    const { graph, names, rows } = this
    if (rows === null) return graph.run(feedsOf(0, count), names.output)
    const parts: Float32Array[] = []
    for (let start = 0; start < count; start += rows) {
      const end = Math.min(start + rows, count)
      const feeds = feedsOf(start, end)
      const input = feeds[names.input]!
      const found = await graph.run({ ...feeds, ...filled({ feeds, rows, own: input.shape[0]! }) }, names.output)
      parts.push(found.subarray(0, (found.length / rows) * (end - start)))
    }
    return concatenate(parts)
  }
}

/** Repeats the last row of every feed that has fewer than `rows`. */
function filled({ feeds, rows, own }: { feeds: Record<string, Feed>; rows: number; own: number }) {
  if (own === rows) return {}
  const full = Object.entries(feeds).filter(([, { shape }]) => shape[0] === own)
  return Object.fromEntries(full.map(([name, feed]) => [name, repeatedLast(feed, rows)]))
}

function repeatedLast({ data, shape }: Feed, rows: number): Feed {
  const width = data.length / shape[0]!
  const indices = Array.from({ length: rows * width }, (_, i) => {
    return Math.min(Math.floor(i / width), shape[0]! - 1) * width + (i % width)
  })
  const longer =
    data instanceof Float32Array
      ? Float32Array.from(indices, (i) => data[i]!)
      : BigInt64Array.from(indices, (i) => data[i]!)
  return { data: longer, shape: [rows, ...shape.slice(1)] }
}

function rowsOf<T extends Float32Array | BigInt64Array>(data: T, width: number, start: number, end: number): T {
  return data.subarray(start * width, end * width) as T
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
  const length = sizeOf(shape[1]) ?? 2
  if (name !== "input_ids" && name !== maskName) throw unknownInput(name, file)
  const row = Array.from({ length }, (_, i) => (name === maskName ? Number(i < 2) : ([startOfText, endOfText][i] ?? 0)))
  const data = BigInt64Array.from({ length: rows * length }, (_, i) => BigInt(row[i % length]!))
  return { data, shape: [rows, length] }
}

function portNamed(ports: readonly Port[], name: string, kind: "input" | "output", file: string): Port {
  const found = ports.find((port) => port.name === name)
  if (found) return found
  throw new UserError(
    `${file} has no ${kind} "${name}", but ${ports.map((port) => port.name).join(", ")}`,
    "a teacher's towers give projected embeddings: export them with their projections",
  )
}

function unknownInput(name: string, file: string): UserError {
  return new UserError(`${file} wants an input "${name}", which no CLIP has`, "export the two towers apart")
}
