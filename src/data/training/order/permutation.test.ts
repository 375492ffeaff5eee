/**
 * That orders are orders, and that they look like uniform shuffles. Bounds are five standard deviations: a fair shuffle stays
 * within them in all but one of a million tests, and the seeds are fixed. With two rounds instead of eight the tests of a pass
 * fail by hundreds of deviations, with four by their own.
 */
import { expect, test } from "vitest"
import { Random } from "../../../core/arrays/random.ts"
import { KeyedPermutation, mostStored, type Permutation, permutation } from "./permutation.ts"

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const keyed = (count: number, seed = 1, epoch = 0) => new KeyedPermutation(count, Random.of(seed, "epoch", epoch))
const valuesOf = (order: Permutation) => range(order.count).map((position) => order.at(position))

/** How many numbers of a whole pass come once. */
function distinct(order: Permutation): number {
  const seen = new Uint8Array(order.count)
  let found = 0
  for (let position = 0; position < order.count; position++) {
    const number = order.at(position)
    if (seen[number] === 0) found++
    seen[number] = 1
  }
  return found
}

/** How many positions their numbers lead back to. */
function ledBack(order: Permutation): number {
  let found = 0
  for (let position = 0; position < order.count; position++)
    if (order.positionOf(order.at(position)) === position) found++
  return found
}

test("keys give every number once, for each count to 5000, and with other seeds to 2000", () => {
  for (const seed of [1, 2, 3])
    for (let count = 1; count <= (seed === 1 ? 5000 : 2000); count++) {
      const order = keyed(count, seed)
      if (distinct(order) !== count) throw new Error(`${count} numbers, seed ${seed}`)
    }
})

test("numbers lead back to their positions, for each count to 500 and some to 5000", () => {
  for (const seed of [1, 2, 3])
    for (let count = 1; count <= 5000; count += count < 500 ? 1 : 43) expect(ledBack(keyed(count, seed))).toBe(count)
})

test("a whole pass over 12.8 million", () => {
  expect(distinct(keyed(12_800_000, 5, 2))).toBe(12_800_000)
})

test("around squares, where the digits' bases change, and around what is stored", () => {
  for (const root of [255, 256, 257, 316])
    for (const count of [root ** 2 - 1, root ** 2, root ** 2 + 1, root * (root + 1), root * (root + 1) + 1])
      expect([distinct(keyed(count)), ledBack(keyed(count))]).toEqual([count, count])
  for (const count of [1, 2, 3, 1000]) {
    const order = permutation(count, new Random(count))
    expect([distinct(order), ledBack(order)]).toEqual([count, count])
  }
  expect(permutation(mostStored, new Random(1))).not.toBeInstanceOf(KeyedPermutation)
  expect(permutation(mostStored + 1, new Random(1))).toBeInstanceOf(KeyedPermutation)
})

test("the positions of each residue class lead to distinct numbers, which together are all", () => {
  const [count, classes] = [9973, 16]
  const order = keyed(count)
  const found = range(classes).map((residue) =>
    range(count)
      .filter((position) => position % classes === residue)
      .map((position) => order.at(position)),
  )
  for (const [residue, numbers] of found.entries())
    expect(new Set(numbers).size).toBe(Math.ceil((count - residue) / classes))
  expect(found.flat().sort((a, b) => a - b)).toEqual(range(count))
  // And the numbers of each class stand at distinct positions.
  for (const residue of range(classes)) {
    const positions = found
      .flat()
      .filter((number) => number % classes === residue)
      .map((number) => order.positionOf(number))
    expect(new Set(positions).size).toBe(Math.ceil((count - residue) / classes))
  }
})

test.each([1.28e9, 2 ** 32, 2 ** 40, 2 ** 40 + 1, 2 ** 52])("%d numbers: in range, distinct, and back", (count) => {
  const order = keyed(count)
  const random = new Random(7)
  const positions = new Set([0, 1, count - 2, count - 1])
  while (positions.size < 100_000)
    positions.add(Math.floor((random.uint32() / 2 ** 32 + random.uint32() / 2 ** 53) * count) % count)
  const numbers = new Set<number>()
  for (const position of positions) {
    const number = order.at(position)
    if (!Number.isInteger(number) || number < 0 || number >= count) throw new Error(`${number} at ${position}`)
    if (order.positionOf(number) !== position) throw new Error(`${number} is not led back to ${position}`)
    numbers.add(number)
  }
  expect(numbers.size).toBe(positions.size)
})

test("an order is the same on every machine, and does not grow with its count", () => {
  const values = (count: number) => [0, 1, 2, count - 1].map((position) => keyed(count, 7, 3).at(position))
  expect(values(100_000)).toEqual([80286, 71555, 9250, 87105])
  expect(values(1.28e9)).toEqual([389667255, 842010053, 538927227, 205419551])
  expect(values(2 ** 40)).toEqual([782409163834, 955194646854, 400389643205, 1008808281023])
  const bytes = JSON.stringify(keyed(2 ** 40)).length - JSON.stringify(keyed(100_000)).length
  expect(bytes).toBeLessThan(100)
})

test.each([0, -1, 1.5, Number.NaN, 2 ** 52 + 1])("there is no order of %d numbers", (count) => {
  expect(() => keyed(count)).toThrow(/^no order of/)
})

test("a million look-ups among 1.28 billion take well under a second of the processor", () => {
  const order = keyed(1.28e9)
  const random = new Random(1)
  const positions = range(1_000_000).map(() => random.int(1.28e9))
  const seconds = range(3).map(() => {
    const before = process.cpuUsage()
    let sum = 0
    for (const position of positions) sum += order.at(position)
    expect(sum).toBeGreaterThan(0)
    return process.cpuUsage(before).user / 1e6
  })
  // 0.22 s measured on an idle machine.
  expect(Math.min(...seconds)).toBeLessThan(1)
})

// ---------------------------------------------------------------------------------------------- like a shuffle

/** How far a chi-square is from its mean, in its standard deviations. */
function deviation(counts: ArrayLike<number>, expected: (cell: number) => number, freedom = counts.length - 1): number {
  let sum = 0
  for (let i = 0; i < counts.length; i++) sum += (counts[i]! - expected(i)) ** 2 / expected(i)
  return (sum - freedom) / Math.sqrt(2 * freedom)
}

const cellOf = (number: number, count: number, cells: number) => Math.floor((number * cells) / count)

test.each([3, 4, 5, 6])("all orders of %d numbers come about equally often", (count) => {
  const counts = new Map<string, number>()
  const all = range(count).reduce((product, i) => product * (i + 1), 1)
  for (let seed = 0; seed < 100 * all; seed++) {
    const order = valuesOf(permutation(count, Random.of(seed, "epoch", 0))).join()
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  expect(counts.size).toBe(all)
  expect(Math.abs(deviation([...counts.values()], () => 100))).toBeLessThan(5)
})

test.each([100, 1000, 70_000, 1.28e9])("over the keys of %d numbers, each position has any", (count) => {
  for (const position of [0, 1, Math.floor(count / 2), count - 1]) {
    const counts = new Uint32Array(50)
    for (let epoch = 0; epoch < 20_000; epoch++) counts[cellOf(keyed(count, 7, epoch).at(position), count, 50)]!++
    expect(Math.abs(deviation(counts, () => 400))).toBeLessThan(5)
  }
})

test.each([100, 70_000, 1.28e9])("over the keys of %d numbers, the first two are independent", (count) => {
  const [keys, cells] = [40_000, 10]
  const counts = new Uint32Array(cells ** 2)
  for (let epoch = 0; epoch < keys; epoch++) {
    const order = keyed(count, 8, epoch)
    counts[cellOf(order.at(0), count, cells) * cells + cellOf(order.at(1), count, cells)]!++
  }
  const size = count / cells
  const pairs = (cell: number) => size * (Math.floor(cell / cells) === cell % cells ? size - 1 : size)
  expect(Math.abs(deviation(counts, (cell) => (keys * pairs(cell)) / (count * (count - 1))))).toBeLessThan(5)
})

/** Passes of several epochs, with the bases of their digits, where a network's faults would show. */
const passes = [70_000, 100_003, 262_144].flatMap((count) => range(4).map((epoch) => ({ count, epoch })))

test.each(passes)(
  "a pass over $count numbers, epoch $epoch: neighbours are as far apart as by chance",
  ({ count, epoch }) => {
    const values = valuesOf(keyed(count, 3, epoch))
    const counts = new Uint32Array(64)
    for (let i = 1; i < count; i++) counts[cellOf(Math.abs(values[i]! - values[i - 1]!), count, 64)]!++
    const expected = new Float64Array(64)
    for (let far = 1; far < count; far++) expected[cellOf(far, count, 64)]! += (2 * (count - far)) / count
    expect(Math.abs(deviation(counts, (cell) => expected[cell]!))).toBeLessThan(5)
  },
)

test.each(passes)(
  "a pass over $count numbers, epoch $epoch: no serial correlation, at the digits' bases neither",
  ({ count, epoch }) => {
    const values = valuesOf(keyed(count, 3, epoch))
    const base = Math.ceil(Math.sqrt(count))
    const mean = (count - 1) / 2
    for (const lag of [1, 2, 3, 64, base - 2, base - 1, base, base + 1, 2 * base]) {
      let sum = 0
      for (let i = lag; i < count; i++) sum += (values[i]! - mean) * (values[i - lag]! - mean)
      const correlation = sum / (count - lag) / ((count ** 2 - 1) / 12)
      expect(Math.abs(correlation) * Math.sqrt(count)).toBeLessThan(5)
    }
  },
)

test.each(passes)(
  "a pass over $count numbers, epoch $epoch: each part of it has numbers of all parts",
  ({ count, epoch }) => {
    const counts = new Uint32Array(64 ** 2)
    for (const [position, number] of valuesOf(keyed(count, 3, epoch)).entries())
      counts[cellOf(position, count, 64) * 64 + cellOf(number, count, 64)]!++
    expect(Math.abs(deviation(counts, () => count / 64 ** 2, 63 ** 2))).toBeLessThan(5)
  },
)

test("epochs are independent of each other", () => {
  const count = 100_000
  const [first, second] = [0, 1].map((epoch) => valuesOf(keyed(count, 3, epoch)))
  const counts = new Uint32Array(64 ** 2)
  for (const [position, number] of first!.entries())
    counts[cellOf(number, count, 64) * 64 + cellOf(second![position]!, count, 64)]!++
  expect(Math.abs(deviation(counts, () => count / 64 ** 2, 63 ** 2))).toBeLessThan(5)
})
