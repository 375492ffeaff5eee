import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import type { ShardTask } from "../runner.ts"
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
    `import { appendFileSync, existsSync } from "node:fs"
    import { setTimeout as sleep } from "node:timers/promises"
    import { serveShards } from ${JSON.stringify(serve)}
    import { EnvironmentError, UserError } from ${JSON.stringify(errors)}
    serveShards(async (settings) => {
      if (settings.brokenOnce && existsSync(settings.log)) throw new UserError("no such model")
      if (settings.broken) throw new UserError("no such model", "choose another")
      appendFileSync(settings.log, process.pid + "\\n")
      return {
        identity: "model@1",
        async run(task, { signal, onProgress }) {
          onProgress(1)
          if (task.input === "bad") throw new UserError("bad is no archive")
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
  expect(bad).toEqual(new UserError("bad is no archive"))
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

test("a worker that cannot open its models in place of one that died is the machine's fault, not the shard's", async () => {
  await using pool = await open(1, { log: join(folder, "once"), brokenOnce: true })
  await expect(pool.run(task("die"))).rejects.toThrow("a worker process ended with SIGKILL")
  const error: unknown = await pool.run(task("a")).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(EnvironmentError)
  expect(error).toMatchObject({ message: "no such model" })
})
