import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError, isInputError, UserError } from "../../core/errors.ts"
import { type ShardTask, WorkerDeath } from "../runner.ts"
import { ProcessPool } from "./process-pool.ts"

let folder: string
let program: string

/** A worker that does what the name of its shard says. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pool-"))
  program = join(folder, "worker.mjs")
  const serve = new URL("../../../dist/src/reinforce/pool/serve.js", import.meta.url).href
  const errors = new URL("../../../dist/src/core/errors.js", import.meta.url).href
  writeFileSync(
    program,
    `import { appendFileSync, existsSync, unlinkSync } from "node:fs"
    import { setTimeout as sleep } from "node:timers/promises"
    import { serveShards } from ${JSON.stringify(serve)}
    import { EnvironmentError, UserError } from ${JSON.stringify(errors)}
    // One process takes the file, however many ask at one time.
    const takes = (path) => { try { unlinkSync(path); return true } catch { return false } }
    serveShards(async (settings) => {
      if (settings.broken) throw new UserError("no such model", "choose another")
      if (takes(settings.log + "-once")) {
        process.kill(process.pid, "SIGKILL")
        await sleep(60_000)
      }
      if (existsSync(settings.log + "-hangs")) await sleep(60_000)
      if (existsSync(settings.log + "-gone")) throw new UserError("the model is gone", "bring it back")
      if (existsSync(settings.log + "-fatal")) process.kill(process.pid, "SIGKILL")
      appendFileSync(settings.log, process.pid + "\\n")
      return {
        identity: "model@1",
        async run(task, { signal, onProgress, onActivity }) {
          onProgress(1)
          if (task.input === "active") for (let i = 0; i < 12; i++) { onActivity(); await sleep(100) }
          if (task.input === "mute") process.disconnect()
          if (task.input === "bad") throw new UserError("bad is not an archive")
          if (task.input === "full") throw new EnvironmentError("disk full", "free some space")
          if (task.input === "fault") throw new Error("a fault")
          if (task.input === "die") process.kill(process.pid, "SIGKILL")
          if (task.input === "slow") await sleep(20_000, undefined, { signal })
          return { ...task, samples: process.pid, problems: [], bytes: 0, sha256: "", models: "model@1", seconds: 0 }
        },
      }
    })`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const task = (input: string): ShardTask => ({ index: 0, input, output: "out" })

function open(processes = 1, settings: object = { log: join(folder, "log") }): Promise<ProcessPool> {
  return ProcessPool.open({ program: fileURLToPath(new URL(`file://${program}`)), settings, processes })
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test("shards run in as many processes as there are, which end with the pool", async () => {
  const pids = new Set<number>()
  {
    await using pool = await open(2)
    expect(pool).toMatchObject({ slots: 2, identity: "model@1" })
    const progress: number[] = []
    const runs = ["a", "b", "c", "d"].map((name) =>
      pool.run(task(name), { onProgress: (count) => progress.push(count) }),
    )
    for (const { samples, input } of await Promise.all(runs)) {
      pids.add(samples)
      expect(["a", "b", "c", "d"]).toContain(input)
    }
    expect(progress).toContain(1)
  }
  expect(pids.size).toBe(2)
  expect([...pids].filter(isRunning)).toEqual([])
})

test("an error of the input stays one; a fault of ours is told in a line", async () => {
  await using pool = await open()
  const bad: unknown = await pool.run(task("bad")).catch((error: unknown) => error)
  expect(bad).toEqual(new UserError("bad is not an archive"))
  expect(bad).not.toBeInstanceOf(EnvironmentError)
  await expect(pool.run(task("fault"))).rejects.toThrow("unexpected: Error: a fault")
  expect((await pool.run(task("a"))).input).toBe("a")
})

test("a worker that is killed is replaced", async () => {
  await using pool = await open()
  await expect(pool.run(task("die"))).rejects.toThrow("a worker process ended with SIGKILL")
  expect((await pool.run(task("a"))).input).toBe("a")
  expect(readFileSync(join(folder, "log"), "utf8").trim().split("\n").length).toBeGreaterThan(1)
})

test("an abandoned shard rejects at once, and the worker goes on", async () => {
  await using pool = await open()
  const abandon = new AbortController()
  const slow = pool.run(task("slow"), { signal: abandon.signal, onProgress: () => abandon.abort() })
  await expect(slow).rejects.toThrow("AbortError")
  expect((await pool.run(task("a"))).input).toBe("a")
})

test("workers that cannot open their models are an error of the pool", async () => {
  await expect(open(2, { broken: true })).rejects.toThrow(new UserError("no such model", "choose another"))
})

test("an error of the machine stays one, with its hint", async () => {
  await using pool = await open()
  const error: unknown = await pool.run(task("full")).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toMatchObject({ message: "disk full", hint: "free some space" })
  expect((await pool.run(task("a"))).input).toBe("a")
})

test("a worker that is killed while it opens its models for the first time is replaced", async () => {
  const log = join(folder, "other-first")
  writeFileSync(`${log}-once`, "")
  await using pool = await open(2, { log })
  expect(pool.identity).toBe("model@1")
  const results = await Promise.all(["a", "b"].map((name) => pool.run(task(name))))
  expect(results.map(({ input }) => input)).toEqual(["a", "b"])
})

test("workers that die whenever they open their models are a fault of the machine, from the first time on", async () => {
  const log = join(folder, "other-never")
  writeFileSync(`${log}-fatal`, "")
  const error: unknown = await open(1, { log }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toMatchObject({
    message: "worker processes cannot open their models: a worker process ended with SIGKILL",
    hint: "is there enough memory for all processes?",
  })
}, 20_000)

test("a worker's death is not held against its shard, before the same shard killed several", async () => {
  await using pool = await open()
  const errors: unknown[] = []
  for (const name of ["die", "a", "die", "die", "die"]) {
    await pool.run(task(name)).catch((reason: unknown) => errors.push(reason))
  }
  expect(errors.map((error) => error instanceof WorkerDeath)).toEqual([true, true, false, false])
  for (const error of errors.slice(2)) expect(isInputError(error)).toBe(true)
  expect(errors[2]).toMatchObject({
    message: "die: 3 worker processes died as they worked on it: a worker process ended with SIGKILL",
  })
}, 20_000)

async function killed(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL")
  while (isRunning(pid)) await sleep(5)
}

test("a worker that dies while it is idle is replaced, however soon the next shard comes", async () => {
  await using pool = await open()
  const pids = new Set<number>()
  for (const wait of [true, false, true]) {
    const { samples: pid } = await pool.run(task("a"))
    pids.add(pid)
    if (wait) await killed(pid)
    else process.kill(pid, "SIGKILL")
    // Where the death is not known yet the shard is sent, and the caller is told that it was lost.
    if (!wait) await expect(pool.run(task("a"))).rejects.toThrow("a worker process ended with SIGKILL")
  }
  expect((await pool.run(task("a"))).input).toBe("a")
  expect(pids.size).toBe(3)
})

test("a worker that closes its channel is replaced", async () => {
  await using pool = await open()
  await expect(pool.run(task("mute"))).rejects.toThrow("a worker process ended with exit code 0")
  expect((await pool.run(task("a"))).input).toBe("a")
})

test.each([
  ["gone", "the model is gone", "bring it back"],
  ["fatal", "worker processes cannot open their models any more: a worker process ended with SIGKILL", /memory/],
])(
  "workers that cannot open their models again (%s) end every run, as a fault of the machine",
  async (how, message, hint) => {
    const log = join(folder, `other-${how}`)
    await using pool = await open(2, { log })
    const pids = await Promise.all(["a", "b"].map(async (name) => (await pool.run(task(name))).samples))
    writeFileSync(`${log}-${how}`, "")
    await Promise.all(pids.map(killed))
    const results = await Promise.allSettled(["a", "b", "c", "d"].map((name) => pool.run(task(name))))
    for (const result of [...results, ...(await Promise.allSettled([pool.run(task("e"))]))]) {
      const error: unknown = result.status === "rejected" && result.reason
      expect(error).toBeInstanceOf(EnvironmentError)
      expect(error).toMatchObject({ message, hint: expect.stringMatching(hint) })
    }
    // No worker was opened since.
    expect(readFileSync(log, "utf8").trim().split("\n")).toHaveLength(2)
  },
  20_000,
)

test("a shard that waits for models that do not open is abandoned, and the next one too", async () => {
  const log = join(folder, "other-hangs")
  const pool = await open(1, { log })
  const { samples: pid } = await pool.run(task("a"))
  writeFileSync(`${log}-hangs`, "")
  await killed(pid)
  for (let i = 0; i < 2; i++) {
    await expect(pool.run(task("a"), { signal: AbortSignal.timeout(100) })).rejects.toThrow("timeout")
  }
  await pool[Symbol.asyncDispose]()
})

test("a pool that is closed rejects what runs and what waits", async () => {
  const pool = await open()
  const runs = ["slow", "a", "b"].map((name) => pool.run(task(name)))
  const settled = Promise.allSettled(runs)
  await sleep(50)
  await pool[Symbol.asyncDispose]()
  const [first, ...waiting] = await settled
  expect(first).toMatchObject({ status: "rejected" })
  for (const result of waiting) {
    expect(result).toMatchObject({ status: "rejected", reason: new Error("the pool is closed") })
  }
  await expect(pool.run(task("a"))).rejects.toThrow("the pool is closed")
})

test("activity is told now and then", async () => {
  await using pool = await open()
  let told = 0
  const begun = performance.now()
  await pool.run(task("active"), { onActivity: () => told++ })
  expect(told).toBeGreaterThanOrEqual(2)
  // At its beginning, and every half a second: on a busy machine it takes longer.
  expect(told).toBeLessThanOrEqual(1 + (performance.now() - begun) / 500)
})
