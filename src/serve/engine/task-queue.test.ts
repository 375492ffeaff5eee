import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, expect, test, vi } from "vitest"
import { type Priority, QueueFull, type QueueOptions, TaskQueue } from "./task-queue.ts"

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Numbers are computed when `go` says so; the batches are written down. */
function counting(options: Partial<QueueOptions<number, number>> = {}) {
  const batches: number[][] = []
  const gates: (() => void)[] = []
  const queue = new TaskQueue<number, number>({
    ...{ mostWaiting: 100, batchSize: 4, slots: 1 },
    compute: async (items) => {
      batches.push([...items])
      await new Promise<void>((resolve) => gates.push(resolve))
      return items.map((item) => (item < 0 ? new Error(`${item}`) : 2 * item))
    },
    ...options,
  })
  const go = async () => {
    gates.shift()!()
    await sleep(0)
  }
  return { queue, batches, go }
}

test("an idle tower begins at once; what comes meanwhile is the next batch", async () => {
  const { queue, batches, go } = counting()
  const all = [queue.add([1], "query"), queue.add([2, 3], "query"), queue.add([4, 5, 6], "query")]
  await sleep(0)
  expect(batches).toEqual([[1]])
  await go()
  expect(batches.at(-1)).toEqual([2, 3, 4, 5])
  await go()
  await go()
  expect(await Promise.all(all)).toEqual([[2], [4, 6], [8, 10, 12]])
  expect(queue.counts).toEqual({ items: 6, batches: 3, refused: 0 })
})

test("queries go before bulk work, and before what came earlier", async () => {
  const { queue, batches, go } = counting({ batchSize: 2 })
  const all = [queue.add([1], "bulk"), queue.add([2, 3], "bulk"), queue.add([9], "query")]
  for (let i = 0; i < 3; i++) {
    await sleep(0)
    await go()
  }
  expect(batches).toEqual([[1], [9], [2, 3]])
  await Promise.all(all)
})

test("what does not fit is refused whole; bulk work that fills its list refuses no query", async () => {
  const { queue, go } = counting({ mostWaiting: 3 })
  const first = queue.add([0], "query")
  const second = queue.add([1, 2], "bulk")
  await expect(queue.add([3, 4], "bulk")).rejects.toThrow(QueueFull)
  const third = queue.add([3, 4], "query")
  for (let i = 0; i < 3; i++) {
    await sleep(0)
    await go()
  }
  expect(await Promise.all([first, second, third])).toEqual([[0], [2, 4], [6, 8]])
  expect(queue.counts.refused).toBe(2)
})

test("who is refused and asks again after the seconds that it was told is let in", async () => {
  // A machine that halts for a while keeps no pace.
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] })
  const compute = async (items: readonly number[]) => {
    await new Promise((resolve) => setTimeout(resolve, 150 * items.length))
    return items
  }
  const queue = new TaskQueue<number, number>({ mostWaiting: 12, batchSize: 2, slots: 1, compute })
  const first = queue.add([0], "query")
  await vi.advanceTimersByTimeAsync(150)
  await first
  const all = [queue.add([1, 2], "bulk"), queue.add(Array(11).fill(3), "bulk")]
  const refused = await queue.add(Array(8).fill(4), "bulk").catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(QueueFull)
  // Seven have to leave, each of which takes 150 ms.
  const { seconds } = refused as QueueFull
  expect(seconds).toBeGreaterThan(1)
  await vi.advanceTimersByTimeAsync(1000 * seconds)
  const again = queue.add(Array(8).fill(4), "bulk")
  await vi.runAllTimersAsync()
  expect(await again).toEqual(Array(8).fill(4))
  await Promise.all(all)
})

test("batches of bulk work are as small as a query can wait for, those of queries are not", async () => {
  const batches: number[] = []
  const compute = async (items: readonly number[]) => {
    batches.push(items.length)
    await sleep(60 * items.length)
    return items
  }
  const queue = new TaskQueue<number, number>({ mostWaiting: 99, batchSize: 8, slots: 1, compute })
  await queue.add([0], "query")
  await Promise.all([queue.add(Array(6).fill(1), "bulk"), queue.add(Array(8).fill(2), "bulk")])
  await queue.add(Array(8).fill(3), "query")
  // At 60 ms each, or more, at most four are within 250 ms.
  const [first, ...later] = batches
  const last = later.pop()
  expect([first, last]).toEqual([1, 8])
  expect(Math.max(...later)).toBeLessThanOrEqual(4)
  expect(later.reduce((sum, count) => sum + count)).toBe(14)
})

test("one that fails is alone in it; a batch that fails is one", async () => {
  const { queue, go } = counting()
  const started = queue.add([0], "query")
  const [bad, good] = [queue.add([-1], "query"), queue.add([5], "query")]
  const settled = Promise.allSettled([bad, good])
  await sleep(0)
  await go()
  await started
  await go()
  expect((await settled).map(({ status }) => status)).toEqual(["rejected", "fulfilled"])
  const failing = new TaskQueue<number, number>({
    ...{ mostWaiting: 9, batchSize: 9, slots: 1 },
    compute: () => Promise.reject(new Error("all")),
  })
  await expect(failing.add([1, 2], "query")).rejects.toThrow("all")
})

test("what nobody waits for any more is not computed", async () => {
  const { queue, batches, go } = counting()
  const stop = new AbortController()
  const first = queue.add([1], "query")
  const left = queue.add([2], "query", stop.signal)
  const other = queue.add([3], "query")
  stop.abort()
  // At once, not when its turn would have come.
  await expect(left).rejects.toThrow("aborted")
  await go()
  await go()
  expect(await Promise.all([first, other])).toEqual([[2], [6]])
  expect(batches).toEqual([[1], [3]])
})

test("those of a cost go together, and the one that waits longest always goes", async () => {
  const { queue, batches, go } = counting({ batchSize: 2, cost: (item) => item })
  const all = [0, 50, 1, 51, 2].map((item) => queue.add([item], "query"))
  for (let i = 0; i < 3; i++) {
    await sleep(0)
    await go()
  }
  expect(batches).toEqual([[0], [50, 51], [1, 2]])
  await Promise.all(all)
})

test("a batch that is full does not wait for the end of the delay", async () => {
  const { queue, batches, go } = counting({ maxDelay: 600_000 })
  const first = queue.add([1, 2, 3], "query")
  await sleep(20)
  expect(batches).toEqual([])
  const last = queue.add([4], "query")
  expect(batches).toEqual([[1, 2, 3, 4]])
  await go()
  expect(await Promise.all([first, last])).toEqual([[2, 4, 6], [8]])
})

test("a request that is larger than the queue is let in where nobody waits, and only there", async () => {
  const { queue, batches, go } = counting({ mostWaiting: 3, batchSize: 5 })
  const large = queue.add([1, 2, 3, 4, 5], "query")
  await sleep(0)
  expect(batches).toEqual([[1, 2, 3, 4, 5]])
  const waiting = queue.add([6], "query")
  await expect(queue.add([1, 2, 3, 4, 5], "query")).rejects.toThrow(QueueFull)
  await go()
  await go()
  expect(await Promise.all([large, waiting])).toEqual([[2, 4, 6, 8, 10], [12]])
})

test("a batch is given up when the last of those who wait for it has gone, and no sooner", async () => {
  const signals: AbortSignal[] = []
  const compute = async (items: readonly number[], signal: AbortSignal) => {
    signals.push(signal)
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))
    return items
  }
  const queue = new TaskQueue<number, number>({ mostWaiting: 9, batchSize: 9, slots: 1, maxDelay: 1, compute })
  const [one, two] = [new AbortController(), new AbortController()]
  const left = [queue.add([1], "query", one.signal), queue.add([2], "query", two.signal)].map((each) =>
    each.catch(() => "left"),
  )
  while (signals.length === 0) await sleep(1)
  one.abort()
  await sleep(0)
  expect(signals[0]!.aborted).toBe(false)
  two.abort()
  expect([signals[0]!.aborted, await Promise.all(left)]).toEqual([true, ["left", "left"]])
})

test("a batch that somebody without a signal waits for is not given up", async () => {
  const signals: AbortSignal[] = []
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const compute = async (items: readonly number[], signal: AbortSignal) => {
    signals.push(signal)
    await gate
    return items
  }
  const queue = new TaskQueue<number, number>({ mostWaiting: 9, batchSize: 9, slots: 1, maxDelay: 1, compute })
  const stop = new AbortController()
  const [left, stays] = [queue.add([1], "query", stop.signal).catch(() => "left"), queue.add([2], "query")]
  while (signals.length === 0) await sleep(1)
  stop.abort()
  open()
  expect([await left, await stays, signals[0]!.aborted]).toEqual(["left", [2], false])
})

test("with a delay only an idle tower waits: a busy one takes more while it can, and then what came meanwhile", async () => {
  const { queue, batches, go } = counting({ maxDelay: 600_000, slots: 2 })
  const all = [queue.add([1, 2, 3, 4], "query"), queue.add([5], "query"), queue.add([6], "query")]
  await sleep(0)
  expect(batches).toEqual([[1, 2, 3, 4], [5]])
  await go()
  expect(batches.at(-1)).toEqual([6])
  await go()
  await go()
  expect(await Promise.all(all)).toEqual([[2, 4, 6, 8], [10], [12]])
})

test("the seconds until there is room: at the pace of late, for each slot, with what is more urgent before it", async () => {
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => now)
  const { queue, go } = counting({ mostWaiting: 10, batchSize: 1, slots: 2 })
  const secondsOf = async (count: number, priority: Priority) => {
    const error = await queue.add(Array(count).fill(0), priority).catch((reason: unknown) => reason)
    return (error as QueueFull).seconds
  }
  const all = [queue.add([1], "query")]
  now += 4000
  await go()
  all.push(queue.add([2, 3], "query"), queue.add(Array(10).fill(0), "bulk"))
  // 4 s for one, two at a time.
  expect(await secondsOf(3, "bulk")).toBe(6)
  all.push(queue.add(Array(4).fill(0), "query"))
  expect([await secondsOf(3, "bulk"), await secondsOf(8, "query")]).toEqual([14, 4])
  now += 1000
  await go()
  // Nine tenths of 2 s, and one tenth of 0.5 s; the third query has begun.
  expect(await secondsOf(7, "bulk")).toBe(Math.ceil((3 + 7) * 1.85))
  for (let left = 15; left > 0; left--) await go()
  await Promise.all(all)
})
