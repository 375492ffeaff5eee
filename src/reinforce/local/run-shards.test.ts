import { expect, test } from "vitest"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { type RunOptions, type ShardResult, type ShardRunner, type ShardTask, WorkerDeath } from "../runner.ts"
import { type RunState, runShards } from "./run-shards.ts"

const tasks: ShardTask[] = Array.from({ length: 6 }, (_, index) => ({
  index,
  input: `in/${index}.tar`,
  output: `out/${index}.tar`,
}))

function resultOf(task: ShardTask, dropped = 0): ShardResult {
  const problems = Array.from({ length: dropped }, (_, i) => ({
    key: String(i),
    reason: "no picture",
    action: "dropped" as const,
  }))
  return { ...task, samples: 10, problems, bytes: 100, sha256: "x", models: "m", seconds: 1 }
}

/** Runs `work` for each shard, and notes which were begun. */
function runner(work: (task: ShardTask, options: RunOptions, attempt: number) => Promise<ShardResult>, slots = 2) {
  const begun: number[] = []
  return {
    begun,
    slots,
    run(task: ShardTask, options: RunOptions = {}) {
      begun.push(task.index)
      return work(task, options, begun.filter((index) => index === task.index).length)
    },
    async [Symbol.asyncDispose]() {},
  } satisfies ShardRunner & { begun: number[] }
}

const options = { maxFailures: Number.POSITIVE_INFINITY, tries: 3 }

test("shards that are done are not begun again; results come in the order of the plan", async () => {
  const workers = runner(async (task) => resultOf(task))
  const completed = new Map([[4, resultOf(tasks[4]!)]])
  const states: RunState[] = []
  const outcome = await runShards(tasks, workers, completed, { ...options, onState: (state) => states.push(state) })
  expect(workers.begun.toSorted()).toEqual([0, 1, 2, 3, 5])
  expect(outcome.results.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
  expect(outcome).toMatchObject({ resumed: 1, stopped: null, failed: [] })
  expect(states.at(0)).toEqual({ shards: 6, shardsDone: 1, samples: 10, failures: 0 })
  expect(states.at(-1)).toEqual({ shards: 6, shardsDone: 6, samples: 60, failures: 0 })
})

test("a shard that cannot be read fails at once, one whose worker died is begun again", async () => {
  const workers = runner(async (task, _, attempt) => {
    if (task.index === 1) throw new UserError("in/1.tar is not an archive")
    if (task.index === 2 && attempt < 3) throw new Error("a worker process ended with SIGKILL")
    if (task.index === 3) throw new Error("a worker process ended with SIGSEGV")
    return resultOf(task)
  })
  const outcome = await runShards(tasks, workers, new Map(), options)
  expect(outcome.results.map(({ index }) => index)).toEqual([0, 2, 4, 5])
  expect(outcome.failed.map(({ task, reason }) => [task.index, reason])).toEqual([
    [1, "in/1.tar is not an archive"],
    [3, "a worker process ended with SIGSEGV"],
  ])
  expect(workers.begun.filter((index) => index === 3)).toHaveLength(3)
})

test("more failures than allowed stop the run and what is under way", async () => {
  const workers = runner(async (task, { signal }) => {
    if (task.index === 0) return resultOf(task, 3)
    await new Promise((_, reject) => signal!.addEventListener("abort", () => reject(new Error("aborted"))))
    return resultOf(task)
  })
  const outcome = await runShards(tasks, workers, new Map(), { ...options, maxFailures: 2 })
  expect(outcome.stopped).toBe("too many failures")
  expect(outcome.results.map(({ index }) => index)).toEqual([0])
  expect(outcome.failed).toEqual([])
})

test("as many failures as allowed do not", async () => {
  const workers = runner(async (task) => resultOf(task, task.index === 0 ? 2 : 0))
  expect((await runShards(tasks, workers, new Map(), { ...options, maxFailures: 2 })).stopped).toBeNull()
})

test("an interrupted run finishes what is under way and begins nothing", async () => {
  const interrupt = new AbortController()
  const workers = runner(async (task) => {
    interrupt.abort()
    return resultOf(task)
  })
  const outcome = await runShards(tasks, workers, new Map(), { ...options, signal: interrupt.signal })
  expect(outcome.stopped).toBe("interrupted")
  expect(outcome.results.map(({ index }) => index)).toEqual(workers.begun.toSorted())
  expect(workers.begun.length).toBeLessThan(tasks.length)
})

const killed = () => new WorkerDeath("a worker process ended with SIGKILL")

test("workers that are killed are not held against their shards, nor counted as tries", async () => {
  let deaths = 0
  const workers = runner(async (task) => {
    if (deaths++ < 4) throw killed()
    return resultOf(task)
  })
  const outcome = await runShards(tasks, workers, new Map(), { ...options, tries: 1, pauses: [0.01, 0.01, 0.01, 0.01] })
  expect(outcome).toMatchObject({ failed: [], stopped: null })
  expect(outcome.results.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
})

test("shards that kill their workers are found out one after the other, however many there are", async () => {
  const workers = runner(async (task, _, attempt) => {
    if (task.index === 5) return resultOf(task)
    throw attempt < 3 ? killed() : new UserError("3 worker processes died")
  }, 1)
  const outcome = await runShards(tasks, workers, new Map(), { ...options, pauses: [0.01, 0.01] })
  expect(outcome).toMatchObject({ stopped: null, results: [{ index: 5 }] })
  expect(outcome.failed.map(({ task }) => task.index)).toEqual([0, 1, 2, 3, 4])
})

test("workers that are killed all the time stop the run, which goes on later", async () => {
  const workers = runner(() => Promise.reject(killed()), 1)
  const outcome = await runShards(tasks, workers, new Map(), { ...options, pauses: [0.01, 0.01] })
  expect(outcome).toMatchObject({ stopped: "environment", failed: [], results: [], outage: killed() })
})

const full = () => new EnvironmentError("disk full while writing out/2.tar")

test("a machine that fails for a while is waited for, longer every time, and no shard fails", async () => {
  const notes: string[] = []
  const workers = runner(async (task, _, attempt) => {
    if (task.index === 2 && attempt <= 2) throw full()
    return resultOf(task)
  }, 1)
  const started = performance.now()
  const patient = { ...options, tries: 1, pauses: [0.02, 0.1], onNote: (text: string) => notes.push(text) }
  const outcome = await runShards(tasks.slice(0, 3), workers, new Map(), patient)
  expect(outcome).toMatchObject({ failed: [], stopped: null })
  expect(outcome.results.map(({ index }) => index)).toEqual([0, 1, 2])
  expect(notes).toEqual([
    "disk full while writing out/2.tar; trying again in 0.02 s (1 of 2)",
    "disk full while writing out/2.tar; trying again in 0.1 s (2 of 2)",
  ])
  expect(performance.now() - started).toBeGreaterThan(115)
})

test("a machine that goes on failing stops the run: its shards are neither done nor failed", async () => {
  const workers = runner(async (task) => {
    if (task.index === 0) return resultOf(task)
    throw full()
  })
  const outcome = await runShards(tasks, workers, new Map(), { ...options, pauses: [0.01, 0.01] })
  expect(outcome).toMatchObject({ failed: [], stopped: "environment", resumed: 0, outage: full() })
  expect(outcome.results.map(({ index }) => index)).toEqual([0])
  expect(new Set(workers.begun).size).toBeGreaterThan(1)
})

test("shards at work at the same time wait together, and a success ends the outage", async () => {
  const notes: string[] = []
  const workers = runner(async (task, _, attempt) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (attempt === 1 || (task.index === 5 && notes.length === 1)) throw full()
    return resultOf(task)
  }, 6)
  const patient = { ...options, pauses: [0.06], onNote: (text: string) => notes.push(text) }
  const outcome = await runShards(tasks, workers, new Map(), patient)
  expect(outcome).toMatchObject({ failed: [], stopped: null })
  expect(notes).toHaveLength(2)
})

test("an interrupt ends the waiting", async () => {
  const interrupt = new AbortController()
  const workers = runner(() => Promise.reject(full()))
  setTimeout(() => interrupt.abort(), 20)
  const outcome = await runShards(tasks, workers, new Map(), { ...options, pauses: [60], signal: interrupt.signal })
  expect(outcome).toMatchObject({ stopped: "interrupted", failed: [], results: [] })
})
