import { expect, test } from "vitest"
import type { UserError } from "../../core/errors.ts"
import { type BadLimit, type BadReason, BadSamples, mostRemembered } from "./bad-samples.ts"

/** The processes of a run over `samples`, whose batches are `size` positions: each has its part, and takes the sums. */
class Ranks {
  readonly ranks: readonly BadSamples[]
  private step = 0

  constructor(
    readonly samples: number | null,
    private readonly size: number,
    options: Pick<BadLimit, "limit" | "resampled">,
    count: number,
  ) {
    this.ranks = Array.from({ length: count }, (_, rank) => new BadSamples({ ...options, rank, ranks: count }))
    for (const rank of this.ranks) rank.samples = samples
  }

  /** One step; `idAt` says which sample stands at a position, `isBad` whether it cannot be used. */
  take(
    idAt: (position: number) => number,
    isBad: (id: number) => boolean,
    reason: BadReason = "damaged picture",
  ): void {
    const [first, end, own] = [this.step * this.size, (this.step + 1) * this.size, this.size / this.ranks.length]
    for (const [rank, samples] of this.ranks.entries()) {
      const positions = Array.from({ length: own }, (_, i) => first + rank * own + i)
      const bad = positions.filter((position) => isBad(idAt(position)))
      samples.addBatch(
        end,
        own,
        bad.map((position) => ({ position, reason, id: idAt(position) })),
      )
    }
    const sums = this.ranks.map((rank) => rank.counts()).reduce((a, b) => a.map((count, i) => count + b[i]!))
    this.step++
    const thrown = this.ranks.map((rank) => messageOf(() => rank.take(sums)))
    expect(new Set(thrown).size).toBe(1)
    if (thrown[0] !== null) throw new Error(thrown[0])
  }
}

function messageOf(work: () => void): string | null {
  try {
    work()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** Sample `position` of an epoch, in another order in each. */
const epochs = (samples: number) => (position: number) => (position * 7 + Math.floor(position / samples) * 3) % samples

test.each([1, 2, 8])("%i processes: an epoch's distinct samples count, however often they come", (ranks) => {
  // 100 epochs of 1,000 samples, of which 9 cannot be used; batches run from one epoch into the next.
  const run = new Ranks(1000, 24, { limit: 9, resampled: false }, ranks)
  const isBad = (id: number) => id % 111 === 0 && id < 999
  for (let step = 0; step < (100 * 1000) / 24; step++) run.take(epochs(1000), isBad)
  expect(run.ranks.map(({ count }) => count)).toEqual(Array(ranks).fill(9))
  expect([...run.ranks[0]!.reasons]).toEqual([["damaged picture", 9]])
})

test.each([1, 2, 8])("%i processes stop at the same sample", (ranks) => {
  const run = new Ranks(1000, 8, { limit: 8, resampled: false }, ranks)
  const isBad = (id: number) => id % 111 === 0 && id < 999
  let step = 0
  const steps = () => {
    for (; step < 1000; step++) run.take(epochs(1000), isBad)
  }
  expect(steps).toThrow("9 samples cannot be used, more than the 8 allowed: 9 x damaged picture")
  const positions = Array.from({ length: 1000 }, (_, i) => i).filter((position) => isBad(epochs(1000)(position)))
  expect(step).toBe(Math.floor(positions.at(-1)! / 8))
})

test("a share counts the samples, and allows at least 100", () => {
  const web = new Ranks(12_800_000, 512, { limit: 0.01, resampled: false }, 8)
  // 0.1 % of 12.8 million, which are 12,800; and then 2 %.
  for (let step = 0; step < 25_000; step++)
    web.take(
      (position) => position,
      (id) => id % 1000 === 7,
    )
  expect(web.ranks[0]!.count).toBe(12_800)
  const small = new Ranks(1000, 100, { limit: 0.01, resampled: false }, 1)
  for (let step = 0; step < 10; step++)
    small.take(
      (position) => position,
      (id) => id % 10 === 0,
    )
  expect(small.ranks[0]!.count).toBe(100)
  const worse = new Ranks(1000, 100, { limit: 0.01, resampled: false }, 1)
  const all = () => {
    for (let step = 0; step < 10; step++)
      worse.take(
        (position) => position,
        (id) => id % 10 === 0 || id === 999,
      )
  }
  expect(all).toThrow("101 samples cannot be used, more than the 100 allowed")
})

test("where samples are drawn, a share counts the draws", () => {
  const draws = (limit: number) => new Ranks(null, 100, { limit, resampled: true }, 2)
  const isBad = (id: number) => id % 50 === 0
  const [allowed, strict] = [draws(0.03), draws(0.01)]
  for (let step = 0; step < 1000; step++) allowed.take((position) => position % 400, isBad)
  expect(allowed.ranks[0]!.count).toBe(2000)
  const all = () => {
    for (let step = 0; step < 1000; step++) strict.take((position) => position % 400, isBad)
  }
  expect(all).toThrow("102 samples cannot be used, more than the 100 allowed")
})

test("a number counts distinct samples, even if they are drawn", () => {
  const run = new Ranks(null, 100, { limit: 8, resampled: true }, 2)
  for (let step = 0; step < 1000; step++)
    run.take(
      (position) => (position * 3) % 401,
      (id) => id % 50 === 1,
    )
  // 1, 51, ..., 351: each on one of two processes, which both draw it in time.
  expect(run.ranks[0]!.count).toBe(8)
})

test("a sample that a shard does not give counts once, on one process", () => {
  const ranks = [0, 1, 2].map((rank) => new BadSamples({ limit: 0.5, resampled: true, rank, ranks: 3 }))
  for (const rank of ranks)
    for (let opened = 0; opened < 2; opened++)
      for (const url of ["a.tar", "b.tar", "c.tar", "d.tar"]) rank.addMissing(url, `${url}: s5: cut off`)
  const sums = ranks.map((rank) => rank.counts()).reduce((a, b) => a.map((count, i) => count + b[i]!))
  for (const rank of ranks) rank.take(sums)
  expect(ranks.map(({ count }) => count)).toEqual([4, 4, 4])
  expect([...ranks[0]!.reasons]).toEqual([["damaged sample", 4]])
})

test("the option that allows more is named where there is one", () => {
  const hintOf = (more: Pick<BadLimit, "toAllowMore">) => {
    const samples = new BadSamples({ limit: 0, resampled: false, rank: 0, ranks: 1, ...more })
    samples.samples = 4
    samples.addBatch(4, 4, [{ position: 0, reason: "no caption", id: 0 }])
    try {
      samples.take(samples.counts())
      return "none"
    } catch (error) {
      return (error as UserError).hint
    }
  }
  expect(hintOf({})).toBe("fix or leave out these samples")
  expect(hintOf({ toAllowMore: "--more" })).toBe("fix or leave out these samples, or allow more of them: --more")
})

test("at the thousandth epoch of 1.28 billion samples each position counts for its own", () => {
  const samples = 1.28e9
  const bad = new BadSamples({ limit: 0.01, resampled: false, rank: 0, ranks: 1 })
  bad.samples = samples
  const [end, reason] = [1000 * samples, "damaged picture"] as const
  bad.addBatch(end - 4, 8, [{ position: end - 5, reason, id: 7 }])
  // Its last two positions, and the first two of the next epoch, in one batch.
  const positions = [end - 2, end - 1, end, end + 1]
  bad.addBatch(
    end + 4,
    8,
    positions.map((position, id) => ({ position, reason, id })),
  )
  const [drawn, missing, ...epochs] = bad.counts()
  expect([drawn, missing]).toEqual([16, 0])
  expect(
    [epochs.slice(0, epochs.length / 2), epochs.slice(epochs.length / 2)].map((counts) => Math.max(...counts)),
  ).toEqual([3, 2])
  bad.take(bad.counts())
  expect(bad.count).toBe(3)
})

test("samples of shards beyond the millionth are told from each other, on one process each", () => {
  const ids = [0, 1, 2, 3].flatMap((index) => [2 ** 20, 2 ** 21 - 1].map((shard) => shard * 2 ** 32 + index))
  const ranks = [0, 1, 2].map((rank) => new BadSamples({ limit: 8, resampled: true, rank, ranks: 3 }))
  for (const rank of ranks)
    for (let step = 0; step < 3; step++)
      rank.addBatch(
        8,
        8,
        ids.map((id, position) => ({ position, reason: "damaged picture", id })),
      )
  const sums = ranks.map((rank) => rank.counts()).reduce((a, b) => a.map((count, i) => count + b[i]!))
  for (const rank of ranks) rank.take(sums)
  expect(ranks.map(({ count }) => count)).toEqual([8, 8, 8])
})

test("what is remembered of single samples has a bound", () => {
  const bad = new BadSamples({ limit: 0.01, resampled: false, rank: 0, ranks: 1 })
  for (let id = 0; id < mostRemembered + 10; id++) bad.note(id * 1280, "damaged picture", "cut off")
  expect([0, mostRemembered - 1, mostRemembered, mostRemembered + 9].map((id) => bad.reasonOf(id * 1280))).toEqual([
    "damaged picture",
    "damaged picture",
    undefined,
    undefined,
  ])
})
