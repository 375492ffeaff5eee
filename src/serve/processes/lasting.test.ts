import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { FatalTask, LastingProcess, lifetimeDefaults } from "./lasting.ts"

/** Answers a number with itself, after so many milliseconds; -1 ends the process, and so does the setting "die". */
const code = (parent: string) => `
import { appendFileSync } from "node:fs"
import { serveParent } from ${JSON.stringify(parent)}
import { setTimeout as sleep } from "node:timers/promises"
appendFileSync(new URL("pids", import.meta.url), process.pid + "\\n")
serveParent(async (settings) => {
  if (settings === "die") process.exit(3)
  return {
    description: settings,
    async do(task) {
      if (task === -1) process.kill(process.pid, "SIGKILL")
      await sleep(task)
      return task
    },
  }
})`

let folder: string
let file: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lasting-"))
  file = join(folder, "child.mjs")
  writeFileSync(file, code(fileURLToPath(workerFile(import.meta.url, "serve-parent"))))
})
afterAll(() => rmSync(folder, { recursive: true }))

const open = (settings = "live", lifetime = lifetimeDefaults) =>
  new LastingProcess<string, string, number, number>({ file, settings }, lifetime)

test("a task that kills its process fails alone: those beside it are answered", async () => {
  await using lasting = open()
  await lasting.description()
  const good = [50, 51, 52, 53].map((task) => lasting.ask(task))
  const bad = lasting.ask(-1)
  await expect(bad).rejects.toThrow(FatalTask)
  await expect(bad).rejects.toThrow("4 processes ended while they worked on this")
  expect(await Promise.all(good)).toEqual([50, 51, 52, 53])
  expect(await lasting.ask(1)).toBe(1)
})

test("new tasks that kill each process which opens end no other task", async () => {
  await using lasting = open()
  await lasting.description()
  let isOver = false
  const bad = [lasting.ask(-1).catch((error: unknown) => error)]
  const good = Promise.all([80, 81].map((task) => lasting.ask(task))).finally(() => {
    isOver = true
  })
  for (let last = lasting.pid; !isOver; await sleep(2)) {
    if (lasting.pid === undefined || lasting.pid === last) continue
    last = lasting.pid
    bad.push(lasting.ask(-1).catch((error: unknown) => error))
  }
  expect(await good).toEqual([80, 81])
  expect(bad.length).toBeGreaterThan(1)
  for (const error of await Promise.all(bad)) expect(error).toBeInstanceOf(FatalTask)
})

test("a process that died is replaced at once, by the spare one where there is one, and that gets the next task", async () => {
  await using lasting = open()
  await lasting.ask(1)
  const spare = () => (Reflect.get(lasting, "spare") as { pid: number } | null)?.pid
  while (spare() === undefined) await sleep(20)
  const [first, second] = [lasting.pid!, spare()!]
  process.kill(first, "SIGKILL")
  while (lasting.pid === first || lasting.pid === undefined) await sleep(5)
  expect([lasting.pid, lasting.counts]).toEqual([second, { deaths: 1, replaced: 0 }])
  process.kill(second, "SIGKILL")
  expect(await lasting.ask(7)).toBe(7)
  expect(lasting.pid).not.toBe(second)
})

test("one that dies while its replacement is opened leaves no process when all is over", async () => {
  const lasting = open("live", { ...lifetimeDefaults, mostTasks: 1 })
  expect(await lasting.ask(1)).toBe(1)
  const first = lasting.pid!
  process.kill(first, "SIGKILL")
  expect(await Promise.all([2, 3, 4].map((task) => lasting.ask(task)))).toEqual([2, 3, 4])
  await lasting[Symbol.asyncDispose]()
  const pids = readFileSync(join(folder, "pids"), "utf8").trim().split("\n").map(Number)
  expect(pids).toContain(first)
  expect(pids.filter(isRunning)).toEqual([])
})

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test("a process that is killed time and again loses no task", async () => {
  await using lasting = open()
  await lasting.description()
  const tasks = Array.from({ length: 32 }, (_, i) => 20 + i)
  let [answered, kills] = [0, 0]
  const asked = Promise.all(tasks.map((task) => lasting.ask(task).finally(() => answered++)))
  let last: number | undefined
  // A new one each time, when it has answered something.
  for (let before = -1; answered < tasks.length && kills < 12; await sleep(5)) {
    const pid = lasting.pid
    if (pid === undefined || pid === last || (kills > 0 && answered === before)) continue
    process.kill(pid, "SIGKILL")
    ;[last, before] = [pid, answered]
    kills++
  }
  expect(await asked).toEqual(tasks)
  expect(kills).toBe(12)
})

test("one that never opens is the machine's fault, and said so", async () => {
  await using lasting = open("die")
  const failed = lasting.ask(1)
  await expect(failed).rejects.toThrow(EnvironmentError)
  await expect(failed).rejects.toThrow("a process ended with exit code 3, as it opened")
})

test("tasks that nobody waits for are not tried again", async () => {
  await using lasting = open()
  await lasting.description()
  const stop = new AbortController()
  const left = lasting.ask(5000, stop.signal)
  const pid = lasting.pid!
  const refused = expect(left).rejects.toThrow("left")
  stop.abort(new Error("left"))
  process.kill(pid, "SIGKILL")
  await refused
})
