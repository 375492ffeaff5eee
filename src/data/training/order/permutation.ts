/**
 * Orders of the numbers 0 to `count` - 1, each equally probable as far as a seed of 32 bits goes. Up to 65,536 numbers are
 * shuffled and stored; more are not stored: a Feistel network over two digits computes the number at a position from eight keys
 * (the generalized Feistel cipher with cycle walking of Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
 */
import { mix, type Random } from "../../../core/arrays/random.ts"

export interface Permutation {
  readonly count: number
  /** The number at a position; both are from 0 to `count` - 1. */
  at(position: number): number
  /** The position of a number: `positionOf(at(i))` is `i`. */
  positionOf(number: number): number
}

/** How many numbers are stored at most, in 256 KiB. On such small digits a network shuffles less well than a shuffle. */
export const mostStored = 2 ** 16

export function permutation(count: number, random: Random): Permutation {
  return count <= mostStored ? new StoredPermutation(random.permutation(count)) : new KeyedPermutation(count, random)
}

class StoredPermutation implements Permutation {
  constructor(private readonly numbers: Uint32Array) {}

  get count(): number {
    return this.numbers.length
  }

  at(position: number): number {
    return this.numbers[position]!
  }

  positionOf(number: number): number {
    return this.numbers.indexOf(number)
  }
}

/** Statistics tell two rounds from a shuffle by far, four just so (4.5 standard deviations), six not. */
const rounds = 8

/** Digits below 2^26: floating point then has the exact quotients and products. */
const most = 2 ** 52

/**
 * Memory does not depend on `count`. A number is two digits, `high * lowBase + low`; each round adds a hash of one digit to the
 * other. The bases' product exceeds `count` by less than `highBase`: what falls there is permuted again until it does not.
 */
export class KeyedPermutation implements Permutation {
  private readonly highBase: number
  private readonly lowBase: number
  private readonly keys: Uint32Array

  /** @param count 1 to 2^52 */
  constructor(
    readonly count: number,
    random: Random,
  ) {
    if (!(Number.isInteger(count) && count >= 1 && count <= most)) throw new Error(`no order of ${count} numbers`)
    this.highBase = Math.ceil(Math.sqrt(count))
    this.lowBase = Math.ceil(count / this.highBase)
    this.keys = Uint32Array.from({ length: rounds }, () => random.uint32())
  }

  at(position: number): number {
    let x = position
    do x = this.encrypt(x)
    while (x >= this.count)
    return x
  }

  positionOf(number: number): number {
    let x = number
    do x = this.decrypt(x)
    while (x >= this.count)
    return x
  }

  private encrypt(x: number): number {
    const { keys, highBase, lowBase } = this
    let high = Math.floor(x / lowBase)
    let low = x - high * lowBase
    for (let i = 0; i < rounds; i += 2) {
      high += hash(low, keys[i]!, highBase)
      if (high >= highBase) high -= highBase
      low += hash(high, keys[i + 1]!, lowBase)
      if (low >= lowBase) low -= lowBase
    }
    return high * lowBase + low
  }

  private decrypt(x: number): number {
    const { keys, highBase, lowBase } = this
    let high = Math.floor(x / lowBase)
    let low = x - high * lowBase
    for (let i = rounds - 2; i >= 0; i -= 2) {
      low -= hash(high, keys[i + 1]!, lowBase)
      if (low < 0) low += lowBase
      high -= hash(low, keys[i]!, highBase)
      if (high < 0) high += highBase
    }
    return high * lowBase + low
  }
}

/** 0 to `base` - 1, the same on every machine. */
function hash(digit: number, key: number, base: number): number {
  return Math.floor(mix(digit ^ key) * 2 ** -32 * base)
}
