import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import type { Worker } from "node:worker_threads"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { ThreadPool, type ThreadPoolOptions } from "./thread-pool.ts"

let folder: string

/** A thread that does what it is asked, and says how often it was asked so far. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "threads-"))
  const compiled = (file: string) => JSON.stringify(new URL(`../../dist/src/${file}.js`, import.meta.url).href)
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  writeFileSync(
    join(folder, "worker.js"),
    `import { setTimeout as sleep } from "node:timers/promises"
    import { threadId } from "node:worker_threads"
    import { EnvironmentError, UserError } from ${compiled("core/errors")}
    import { serveThread } from ${compiled("host/thread-pool")}
    const errors = {
      user: new UserError("no such file", "check the path"),
      machine: new EnvironmentError("disk full", "free some space"),
      fault: new TypeError("a fault"),
    }
    serveThread((settings, isStopped) => {
      if (settings?.broken) throw errors.user
      let count = 0
      return {
        async answer({ what, array }) {
          const own = ++count
          if (what in errors) throw errors[what]
          if (what === "crash") setImmediate(() => { throw new Error("out of order") })
          if (what === "function") return () => {}
          if (what === "share") array[0] = 7
          if (what === "crash" || what === "wait") await sleep(60_000)
          if (what === "until closed") while (!isStopped()) await sleep(5)
          if (what === "slow") await sleep(50)
          if (what === "give back") return array
          return { threadId, count: own, settings }
        },
        transfer: (answer) => ArrayBuffer.isView(answer) ? [answer.buffer] : [],
        [Symbol.dispose]: () => { if (settings?.ended) Atomics.add(settings.ended, 0, 1) },
      }
    })`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Request {
  readonly what: string
  readonly array?: Float32Array
}

interface Answer {
  readonly threadId: number
  readonly count: number
  readonly settings: unknown
}

function open(options: Partial<ThreadPoolOptions<Request, Answer>> = {}): ThreadPool<Request, Answer> {
  const program = [pathToFileURL(join(folder, "pool.js")).href, "worker"] as const
  return new ThreadPool({ program, threads: 1, name: "tests", ...options })
}

const isBusy = ({ threads }: { threads: { jobs: Map<number, unknown> }[] }) => threads.map(({ jobs }) => jobs.size)
const inside = (pool: unknown) => pool as { threads: { worker: Worker; jobs: Map<number, unknown> }[] }

test("requests go to the threads that have the least to do, at most two to each, and to the one that is asked for", async () => {
  await using pool = open({ threads: 2 })
  const answers = Array.from({ length: 7 }, () => pool.ask({ what: "slow" }))
  expect(isBusy(inside(pool))).toEqual([2, 2])
  const ids = (await Promise.all(answers)).map(({ threadId }) => threadId)
  expect(new Set(ids).size).toBe(2)
  const own = await Promise.all(Array.from({ length: 6 }, () => pool.ask({ what: "" }, { thread: 1 })))
  expect(new Set(own.map(({ threadId }) => threadId))).toEqual(new Set([inside(pool).threads[1]!.worker.threadId]))
})

test("more in flight where that is asked for", async () => {
  await using pool = open({ inFlight: Number.POSITIVE_INFINITY })
  const answers = Array.from({ length: 5 }, () => pool.ask({ what: "slow" }))
  expect(isBusy(inside(pool))).toEqual([5])
  expect((await Promise.all(answers)).map(({ count }) => count)).toEqual([1, 2, 3, 4, 5])
})

test.each([
  ["user", UserError, { message: "no such file", hint: "check the path" }],
  ["machine", EnvironmentError, { message: "disk full", hint: "free some space" }],
  ["fault", Error, { name: "TypeError", message: "a fault", stack: expect.stringContaining("worker.js") }],
])("an error of a thread is one of its class here: %s", async (what, Class, content) => {
  await using pool = open()
  const error: Error = await pool.ask({ what }).catch((error) => error)
  expect(error.constructor).toBe(Class)
  expect(error).toMatchObject(content)
  expect((await pool.ask({ what: "" })).count).toBe(2)
})

test("what cannot be sent, or cannot be sent back, is an error, and the thread goes on", async () => {
  await using pool = open()
  await expect(pool.ask({ what: (() => {}) as unknown as string })).rejects.toThrow("could not be cloned")
  await expect(pool.ask({ what: "function" })).rejects.toThrow("could not be cloned")
  expect((await pool.ask({ what: "" })).count).toBe(2)
})

test("a thread that cannot begin says why with every request", async () => {
  await using pool = open({ settings: { broken: true } })
  for (let i = 0; i < 2; i++) {
    const error = await pool.ask({ what: "" }).catch((error) => error)
    expect(error).toEqual(new UserError("no such file", "check the path"))
  }
})

test("a thread that dies says so to what it had, and another one goes on with what waits", async () => {
  await using pool = open()
  const { threadId } = await pool.ask({ what: "" })
  const requests = ["crash", "wait", "", ""].map((what) => pool.ask({ what }))
  const [crashed, lost, ...next] = await Promise.allSettled(requests)
  const cause = { message: "out of order", stack: expect.stringContaining("worker.js") }
  for (const outcome of [crashed, lost])
    expect(outcome).toMatchObject({ reason: { message: "a thread of the pool of tests ended: out of order", cause } })
  for (const answer of next) expect(answer.status).toBe("fulfilled")
  const other = await pool.ask({ what: "" })
  expect(other.threadId).not.toBe(threadId)
  await inside(pool).threads[0]!.worker.terminate()
  expect((await pool.ask({ what: "" })).count).toBe(1)
})

test("the pool's owner says what the end of a thread is", async () => {
  await using pool = open({ ended: (why) => new UserError(`the thread is gone: ${why}`, "try again") })
  await pool.ask({ what: "" })
  const asked = pool.ask({ what: "wait" }).catch((error) => error)
  await inside(pool).threads[0]!.worker.terminate()
  expect(await asked).toEqual(new UserError("the thread is gone: exit code 1", "try again"))
})

test("a pool that is closed rejects what it has, waits for what is under way, and takes nothing more", async () => {
  const ended = new Int32Array(new SharedArrayBuffer(4))
  const pool = open({ threads: 2, settings: { ended } })
  await pool.ask({ what: "" })
  const outcomes = Promise.allSettled(Array.from({ length: 6 }, () => pool.ask({ what: "until closed" })))
  await sleep(20)
  await pool[Symbol.asyncDispose]()
  const reason = new Error("the pool of tests is closed")
  expect(await outcomes).toEqual(Array.from({ length: 6 }, () => ({ status: "rejected", reason })))
  await expect(pool.ask({ what: "" })).rejects.toThrow(reason)
  expect(ended[0]).toBe(2)
  expect(inside(pool).threads.map(({ worker }) => worker.threadId)).toEqual([-1, -1])
})

test("shared memory is one, and other memory is handed over where that is asked for", async () => {
  await using pool = open()
  const shared = new Float32Array(new SharedArrayBuffer(4))
  await pool.ask({ what: "share", array: shared })
  expect(shared[0]).toBe(7)
  const array = Float32Array.of(1, 2)
  const back = await pool.ask({ what: "give back", array }, { transfer: [array.buffer] })
  expect([array.length, back]).toEqual([0, Float32Array.of(1, 2)])
})

test("without threads, requests are answered here, until the pool is closed", async () => {
  const answer = { threadId: 0, count: 1, settings: null }
  const pool = open({ threads: 0, here: async () => answer })
  expect(await pool.ask({ what: "" })).toBe(answer)
  await pool[Symbol.asyncDispose]()
  await expect(pool.ask({ what: "" })).rejects.toThrow("the pool of tests is closed")
})
