/**
 * The texts of a batch without most of their padding, for towers in which a token does not see what comes after it: sorted
 * by length, in a few groups that each end with their own longest text, and all tokens in one row. What treats every token alone
 * (linear maps, norms, activations) takes them as one long text; attention and positions go from group to group. Known as
 * length bucketing, here inside a batch. N texts, G groups, T tokens, D width.
 */
import * as torch from "../../torch/index.ts"

interface Group {
  /** Places in the batch. */
  readonly rows: readonly number[]
  /** Tokens of each. */
  readonly length: number
}

/** Queries [n, L, D], keys and values [n, S, D], and a bias [n, S] where there is one -> [n, L, D] */
export type Attend = (
  query: torch.Tensor,
  key: torch.Tensor,
  value: torch.Tensor,
  bias: torch.Tensor | undefined,
) => torch.Tensor

export class Packing {
  /** Places in the batch, group by group. */
  private readonly order: readonly number[]
  /** The first EOT of each text of the batch among the T tokens. */
  private readonly places: readonly number[]

  /** @param lengths of the texts up to their first EOT, in the batch's order; groups come in the order of theirs */
  constructor(
    private readonly lengths: readonly number[],
    private readonly groups: readonly Group[],
  ) {
    this.order = groups.flatMap(({ rows }) => rows)
    const columns = groups.flatMap(({ rows, length }) => rows.map(() => length))
    const places: number[] = []
    let start = 0
    for (const [i, row] of this.order.entries()) {
      places[row] = start + lengths[row]! - 1
      start += columns[i]!
    }
    this.places = places
  }

  /** [N, L] -> [1, T] */
  pack(ids: torch.Tensor): torch.Tensor {
    const pieces = this.groups.map(({ rows, length }) =>
      ids.indexSelect(0, indexOf(rows, ids.device)).narrow(1, 0, length).reshape([1, -1]),
    )
    return torch.cat(pieces, 1)
  }

  /** Adds the first rows of `table` to the tokens [1, T, D] of every text. */
  addPositions(x: torch.Tensor, table: torch.Tensor): torch.Tensor {
    return this.eachGroup((part) => part.add(table.narrow(0, 0, part.shape[1]!)), x)
  }

  /** What `compute` makes of each group's tokens, [n, L, D] of [1, T, D] -> [1, T, ...] */
  eachGroup(compute: (tokens: torch.Tensor) => torch.Tensor, x: torch.Tensor): torch.Tensor {
    return this.join(this.split(x).map(compute))
  }

  /**
   * Attention by `attend`, group by group, to keys and values [1, T, D]: of queries for all tokens, [1, T, D], or of one for
   * each text, [N, 1, D]. Of a bias [N, L] a group sees the columns that it has.
   */
  attention(
    attend: Attend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias?: torch.Tensor,
  ): torch.Tensor {
    const packed = query.shape[0] === 1
    const [queries, keys, values] = [
      packed ? this.split(query) : this.splitRows(query),
      this.split(key),
      this.split(value),
    ]
    const biases = bias && this.splitRows(bias)
    const parts = queries.map((q, g) => {
      return attend(q, keys[g]!, values[g]!, biases && biases[g]!.narrow(1, 0, this.groups[g]!.length))
    })
    return packed ? this.join(parts) : this.joinRows(parts)
  }

  /** [N]: places of the first EOTs among the T tokens. */
  ends(device: torch.Device): torch.Tensor {
    return indexOf(this.places, device)
  }

  /** [N]: places of the first EOTs in their texts. */
  lastPlaces(device: torch.Device): torch.Tensor {
    return indexOf(
      this.lengths.map((length) => length - 1),
      device,
    )
  }

  /** Tokens of the longest text. */
  get longest(): number {
    return this.groups.at(-1)!.length
  }

  /** [1, T, D] as [n, l, D] for each group of n texts of l tokens. */
  private split(x: torch.Tensor): torch.Tensor[] {
    const sizes = this.groups.map(({ rows, length }) => rows.length * length)
    return splitInto(x, sizes, 1).map((part, g) => part.reshape([this.groups[g]!.rows.length, -1, x.shape[2]!]))
  }

  /** What `split` gave -> [1, T, D] */
  private join(parts: readonly torch.Tensor[]): torch.Tensor {
    return torch.cat(
      parts.map((part) => part.reshape([1, -1, part.shape[2]!])),
      1,
    )
  }

  /** A row for each text, [N, ...], as [n, ...] for each group. */
  private splitRows(x: torch.Tensor): torch.Tensor[] {
    const sizes = this.groups.map(({ rows }) => rows.length)
    return splitInto(x.indexSelect(0, indexOf(this.order, x.device)), sizes, 0)
  }

  /** What `splitRows` gave -> [N, ...], in the batch's order */
  private joinRows(parts: readonly torch.Tensor[]): torch.Tensor {
    const joined = torch.cat(parts, 0)
    return joined.indexSelect(0, indexOf(inverse(this.order), joined.device))
  }
}

/** Columns of each row up to its first largest id: texts up to their first EOT. */
export function lengthsOf(ids: BigInt64Array, columns: number): number[] {
  return Array.from({ length: ids.length / columns }, (_, n) => {
    const row = ids.subarray(n * columns, (n + 1) * columns)
    // Math.max takes no BigInts.
    return row.reduce((best, id, i) => (id > row[best]! ? i : best), 0) + 1
  })
}

/** Attention and positions of one more group take about as long as a small tower takes for this many tokens. */
const leastTokens = 64
/** In large batches a group has to save this part of the tokens. */
const leastPart = 0.02

/** The groups with the fewest tokens; null where one group is best. `lengths` are of the texts up to their first EOT. */
export function packingOf(lengths: readonly number[]): Packing | null {
  const order = lengths.map((_, row) => row).sort((a, b) => lengths[a]! - lengths[b]! || a - b)
  const price = Math.max(leastTokens, leastPart * lengths.length * Math.max(...lengths))
  const bounds = cheapestBounds(
    order.map((row) => lengths[row]!),
    price,
  )
  if (bounds.length < 3) return null
  const groups = bounds.slice(1).map((end, g) => {
    return { rows: order.slice(bounds[g], end), length: lengths[order[end - 1]!]! }
  })
  return new Packing(lengths, groups)
}

/** Where the groups of these ascending lengths begin, and the end: each costs its texts times its longest, and `price`. */
function cheapestBounds(sorted: readonly number[], price: number): number[] {
  // Texts of one length stay together.
  const starts = sorted.flatMap((length, i) => (length === sorted[i - 1] ? [] : [i]))
  const ends = [...starts.slice(1), sorted.length]
  const best = new Map([[0, { cost: 0, bounds: [0] as readonly number[] }]])
  for (const end of ends) {
    const options = starts.filter((start) => start < end)
    const costs = options.map((start) => best.get(start)!.cost + (end - start) * sorted[end - 1]! + price)
    const least = costs.indexOf(Math.min(...costs))
    best.set(end, { cost: costs[least]!, bounds: [...best.get(options[least]!)!.bounds, end] })
  }
  return [...best.get(sorted.length)!.bounds]
}

function inverse(order: readonly number[]): number[] {
  const places: number[] = []
  for (const [place, row] of order.entries()) places[row] = place
  return places
}

function indexOf(places: readonly number[], device: torch.Device): torch.Tensor {
  return torch.tensor(BigInt64Array.from(places, BigInt), [places.length], { device })
}

const splitInto = torch.operator<[torch.Tensor, sizes: readonly number[], dim: number], torch.Tensor[]>(
  "split_with_sizes",
)
