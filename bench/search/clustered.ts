/**
 * Vectors that lie as those of a CLIP do, for measurements of search: all pictures around one common direction (cosines of
 * about 0.5 between any two), in 64 groups of 64 clusters each, with variances that fall from dimension to dimension and a few
 * dimensions that stick out; queries are other pictures of a cluster, or texts, which lie around a direction of their own and
 * near their cluster's by a cosine of about 0.25. Not learned: of what a model gives they have the rough shape alone.
 */
import { float32ToFloat16 } from "../../src/core/arrays/half.ts"
import { Random } from "../../src/core/arrays/random.ts"

const groups = 64
const clustersOfGroup = 64

/** Lengths of what a picture is the sum of: their squares are the shares of its variance. */
const parts = { common: 0.68, group: 0.4, cluster: 0.36, own: 0.5 }
/** Normal numbers that are drawn once; a row takes two stretches of them. */
const drawn = 2 ** 20

export class Clustered {
  private readonly common: Float32Array
  private readonly textCommon: Float32Array
  private readonly groups: Float32Array[]
  private readonly clusters: Float32Array[]
  private readonly noise = new Float32Array(drawn)
  private readonly deviations: Float32Array

  constructor(
    private readonly seed: number,
    readonly dim: number,
  ) {
    const random = Random.of(seed, "clusters")
    random.fillNormal(this.noise, 1)
    this.deviations = Float32Array.from({ length: dim }, (_, i) => deviation(i, dim))
    const direction = (length: number) => scaled(this.spread(random), length)
    const outside = (length: number) => {
      const values = this.spread(random)
      for (let i = 0; i < 4; i++) values[random.int(dim)]! *= 8
      return scaled(values, length)
    }
    this.common = outside(parts.common)
    this.textCommon = outside(0.85)
    this.groups = Array.from({ length: groups }, () => direction(parts.group))
    this.clusters = Array.from({ length: groups * clustersOfGroup }, () => direction(parts.cluster))
  }

  /** float16 rows [count, dim] of unit length from row `first` on: the same ones however they are asked for. */
  rows(first: number, count: number): Uint16Array {
    const rows = new Float32Array(count * this.dim)
    for (let i = 0; i < count; i++) this.picture(first + i, rows.subarray(i * this.dim, (i + 1) * this.dim))
    return float32ToFloat16(rows)
  }

  /** Half of them pictures that are not among the rows, half of them texts. [count, dim] each. */
  queries(count: number): Float32Array[] {
    return Array.from({ length: count }, (_, i) => {
      const query = new Float32Array(this.dim)
      if (i % 2 === 0) this.picture(2 ** 31 + i, query)
      else this.text(i, query)
      return query
    })
  }

  private picture(number: number, out: Float32Array): void {
    const random = Random.of(this.seed, number)
    const cluster = random.int(this.clusters.length)
    this.sum(out, random, [this.common, this.groups[cluster % groups]!, this.clusters[cluster]!], parts.own)
  }

  private text(number: number, out: Float32Array): void {
    const random = Random.of(this.seed, "text", number)
    const cluster = random.int(this.clusters.length)
    this.sum(out, random, [this.textCommon, this.groups[cluster % groups]!, this.clusters[cluster]!], 0.5)
  }

  /** A sum of vectors and of noise of about the given length, made a unit vector. */
  private sum(out: Float32Array, random: Random, vectors: readonly Float32Array[], length: number): void {
    const { noise, deviations, dim } = this
    const [a, b] = [random.int(drawn - dim), random.int(drawn - dim)]
    let squares = 0
    const each = length / Math.sqrt(2 * dim)
    for (let i = 0; i < dim; i++) {
      let value = (noise[a + i]! + noise[b + dim - 1 - i]!) * each * deviations[i]!
      for (const vector of vectors) value += vector[i]!
      out[i] = value
      squares += value * value
    }
    const norm = Math.sqrt(squares)
    for (let i = 0; i < dim; i++) out[i]! /= norm
  }

  private spread(random: Random): Float32Array {
    const values = new Float32Array(this.dim)
    random.fillNormal(values, 1)
    return values.map((value, i) => value * this.deviations[i]!)
  }
}

/** A dimension's: from about 2 down to about a half, with a mean square of about 1. */
function deviation(i: number, dim: number): number {
  return 2.1 / (1 + (6 * i) / dim) ** 0.75
}

function scaled(values: Float32Array, length: number): Float32Array {
  const norm = Math.hypot(...values)
  return values.map((value) => (value * length) / norm)
}
