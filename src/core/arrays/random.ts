/**
 * Seeded random numbers, the same on every machine: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it),
 * seeded through splitmix32. `Random.of(seed, ...path)` gives independent streams, so what a sample looks like does
 * not depend on which worker makes it or on what was drawn before.
 */
export class Random {
  private readonly state: Uint32Array
  /** NaN where there is none: a field that is always a number costs no allocation for each value. */
  private spareNormal = Number.NaN

  constructor(seed: number) {
    let x = seed >>> 0
    this.state = Uint32Array.from({ length: 4 }, () => {
      x = (x + 0x9e3779b9) >>> 0
      return mix(x)
    })
  }

  /** The stream that belongs to `seed` and a path of names or numbers: `Random.of(7, "scenes", 12)`. */
  static of(seed: number, ...path: readonly (string | number)[]): Random {
    return new Random(path.reduce<number>((hash, part) => mix(hash ^ fnv1a(String(part))), mix(seed >>> 0)))
  }

  /** 32 random bits. */
  uint32(): number {
    const s = this.state
    const [s0, s1, s2, s3] = [s[0]!, s[1]!, s[2]!, s[3]!]
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0
    s[2] = s2 ^ s0
    s[3] = s3 ^ s1
    s[1] = s1 ^ s[2]!
    s[0] = s0 ^ s[3]!
    s[2] = s[2]! ^ (s1 << 9)
    s[3] = rotateLeft(s[3]!, 11)
    return result
  }

  /** Uniform in [low, high), 32 bits of it. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / 0x100000000)
  }

  /** Uniform integer in [0, n), for n up to 2^32. */
  int(n: number): number {
    return Math.floor(this.uniform() * n)
  }

  chance(probability: number): boolean {
    return this.uniform() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]!
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const spare = this.spareNormal
    if (!Number.isNaN(spare)) {
      this.spareNormal = Number.NaN
      return spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.spareNormal = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** Fills the array with the values that `std * normal()` gives one by one, in half the time. */
  fillNormal(values: Float32Array, std: number): void {
    let start = 0
    if (!Number.isNaN(this.spareNormal) && values.length > 0) values[start++] = std * this.normal()
    const end = values.length - ((values.length - start) % 2)
    for (; start < end; start += BLOCK) {
      const block = values.subarray(start, Math.min(start + BLOCK, end))
      toNormal(this.bits(block.length), block, std)
    }
    if (end < values.length) values[end] = std * this.normal()
  }

  /** What `uint32` gives one by one, with the state in variables, because to read and write it takes most of the time. */
  private bits(count: number): Uint32Array {
    const bits = new Uint32Array(count)
    let [s0, s1, s2, s3] = [this.state[0]! | 0, this.state[1]! | 0, this.state[2]! | 0, this.state[3]! | 0]
    for (let i = 0; i < count; i++) {
      bits[i] = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9)
      const shifted = s1 << 9
      s2 ^= s0
      s3 ^= s1
      s1 ^= s2
      s0 ^= s3
      s2 ^= shifted
      s3 = rotateLeft(s3, 11) | 0
    }
    this.state.set([s0, s1, s2, s3])
    return bits
  }

  /** A shuffled copy. */
  shuffle<T>(items: readonly T[]): T[] {
    return Array.from(this.permutation(items.length), (i) => items[i]!)
  }

  /** 0 to `count` - 1, shuffled (Fisher-Yates), in 4 bytes each. */
  permutation(count: number): Uint32Array {
    const order = new Uint32Array(count)
    for (let i = 0; i < count; i++) order[i] = i
    for (let i = count - 1; i > 0; i--) {
      const j = this.int(i + 1)
      const taken = order[i]!
      order[i] = order[j]!
      order[j] = taken
    }
    return order
  }

  /** The position in the stream, to store in a checkpoint; `restore` continues from it. */
  save(): number[] {
    return [...this.state]
  }

  restore(state: readonly number[]): void {
    this.state.set(state)
    this.spareNormal = Number.NaN
  }
}

/** Values that are made at a time: an even number, and what fits a processor's first cache. */
const BLOCK = 2048

/** Pairs of uniform values to pairs of normal ones (Box-Muller), as `normal` makes them. */
function toNormal(bits: Uint32Array, values: Float32Array, std: number): void {
  for (let i = 0; i < bits.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - bits[i]! / 0x100000000))
    const angle = 2 * Math.PI * (bits[i + 1]! / 0x100000000)
    values[i] = std * (radius * Math.cos(angle))
    values[i + 1] = std * (radius * Math.sin(angle))
  }
}

/** FNV-1a, 32 bits, over UTF-8. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** A bijection of 32 bits, of which each bit of the result depends on each of `value`. */
export function mix(value: number): number {
  let x = value ^ (value >>> 16)
  x = Math.imul(x, 0x21f0aaad)
  x ^= x >>> 15
  x = Math.imul(x, 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

function rotateLeft(x: number, k: number): number {
  return ((x << k) | (x >>> (32 - k))) >>> 0
}
