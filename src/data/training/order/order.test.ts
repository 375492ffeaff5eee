import { expect, test } from "vitest"
import { Random } from "../../../core/arrays/random.ts"
import { DrawOrder, EpochOrder, fetchedDraws, orderSettings, singleDraws } from "./order.ts"
import { mostStored } from "./permutation.ts"

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)

test("epochs follow each other without gap, in orders of their own", () => {
  const order = new EpochOrder(7, 5)
  const epochs = range(3).map((epoch) => range(7, 7 * epoch).map((position) => order.at(position)))
  for (const epoch of epochs) expect(epoch.toSorted()).toEqual(range(7))
  expect(epochs[0]).not.toEqual(epochs[1])
  // Back and forth, as for batches that are made ahead.
  const ahead = range(16).flatMap((position) => [position + 5, position])
  expect(ahead.map((position) => order.at(position))).toEqual(ahead.map((position) => epochs.flat()[position]))
})

test("an epoch of few samples is the shuffle that it was before there were keyed orders", () => {
  const order = new EpochOrder(mostStored, 5)
  const shuffled = Random.of(5, "epoch", 1).permutation(mostStored)
  expect(range(mostStored, mostStored).map((position) => order.at(position))).toEqual([...shuffled])
  expect(orderSettings(mostStored, false)).toEqual({})
})

test("an epoch of more samples has each once, in an order of its own, and the settings say so", () => {
  const count = mostStored + 1
  const order = new EpochOrder(count, 5)
  const epochs = range(2).map((epoch) => range(count, count * epoch).map((position) => order.at(position)))
  for (const epoch of epochs) expect(new Set(epoch).size).toBe(count)
  expect(epochs.flat().every((sample) => sample >= 0 && sample < count)).toBe(true)
  const same = epochs[0]!.filter((sample, position) => sample === epochs[1]![position])
  expect(same.length).toBeLessThan(8)
  expect(orderSettings(count, false)).toEqual({ order: "keyed" })
  expect([orderSettings(count, true), orderSettings(null, true)]).toEqual([{}, {}])
})

test("positions of 1.28 billion samples, over epochs", () => {
  const count = 1.28e9
  const order = new EpochOrder(count, 5)
  for (const position of [0, count - 1, count, 3 * count - 1, 1000 * count + 12345]) {
    const sample = new EpochOrder(count, 5).at(position)
    expect(Number.isInteger(sample) && sample >= 0 && sample < count).toBe(true)
    expect(order.at(position)).toBe(sample)
  }
})

test("single draws: any shard, any sample, by position alone", () => {
  const order = new DrawOrder(4, 8, 2, singleDraws)
  const found = range(4000).map((position) => {
    const draw = order.at(position)
    return 10 * draw.shard + order.sampleOf(draw, 5)
  })
  const counts = new Map<number, number>()
  for (const value of found) counts.set(value, (counts.get(value) ?? 0) + 1)
  expect(counts.size).toBe(20)
  for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(60)
  const again = new DrawOrder(4, 8, 2, singleDraws)
  expect(again.sampleOf(again.at(3999), 5)).toBe(found[3999]! % 10)
})

test("fetched draws: a slot stays with its shard, takes its samples without repetition, and then draws another", () => {
  const [batchSize, count] = [48, 2000]
  const order = new DrawOrder(1000, batchSize, 2, fetchedDraws)
  const slot = range(100).flatMap((step) => range(16, 16).map((row) => order.at(step * batchSize + row)))
  const turns = slot.filter(({ place }) => place === 0)
  // A third of the way through its draw at the start, for it is the second of three slots.
  expect(slot[0]!.place).toBe(341)
  expect(turns.map((draw) => slot.indexOf(draw))).toEqual([1024 - 341])
  const second = slot.slice(1024 - 341)
  expect(new Set(second.map(({ shard }) => shard)).size).toBe(1)
  expect(new Set(second.map((draw) => order.sampleOf(draw, count))).size).toBe(second.length)
  expect(order.at(16, 1024).shard).toBe(second[0]!.shard)
})

test("a shard smaller than a draw gives all it has before it starts again", () => {
  const order = new DrawOrder(3, 16, 2, fetchedDraws)
  const found = range(30).map((position) => order.sampleOf(order.at(position), 10))
  for (const start of [0, 10, 20]) expect(found.slice(start, start + 10).toSorted()).toEqual(range(10))
})

test("a slot keeps what it takes of a shard, not the shard's whole order", () => {
  const order = new DrawOrder(3, 16, 2, fetchedDraws)
  const [draw, count] = [order.at(0), 100_000]
  const whole = Random.of(2, "sample", draw.slot, draw.ordinal).permutation(count)
  const taken = range(fetchedDraws.length).map((place) => order.sampleOf({ ...draw, place }, count))
  expect(taken).toEqual([...whole.slice(0, fetchedDraws.length)])
  const kept = (order as unknown as { orders: ReadonlyMap<number, { order: Uint32Array }> }).orders
  expect([...kept.values()].map(({ order: { buffer } }) => buffer.byteLength)).toEqual([4 * fetchedDraws.length])
})
