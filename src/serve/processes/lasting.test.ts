import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { FatalTask, LastingProcess, lifetimeDefaults } from "./lasting.ts"

/**
 * Answers a number with itself, after so many milliseconds. The setting "die" ends the process, "fail" refuses, "stay" does not end
 * with its channel, and "halt" stops the first one as it opens. Tasks: -1 ends it, -2 computes for ever, -3 takes and keeps 200 MB, -4 waits for its abort, -5 waits for ever,
 * -6 computes for 3 s.
 */
const code = (parent: string) => `
import { appendFileSync, statSync } from "node:fs"
import { once } from "node:events"
import { serveParent } from ${JSON.stringify(parent)}
import { setTimeout as sleep } from "node:timers/promises"
appendFileSync(new URL("pids", import.meta.url), process.pid + "\\n")
const kept = []
serveParent(async (settings) => {
  const openings = new URL("opened-" + settings, import.meta.url)
  appendFileSync(openings, "x")
  if (settings === "halt" && statSync(openings).size === 1) process.kill(process.pid, "SIGSTOP")
  if (settings === "die") process.exit(3)
  if (settings === "fail") throw new Error("fails")
  if (settings === "stay") setInterval(() => {}, 1000)
  if (settings === "stay") process.exit = () => {}
  return {
    description: settings,
    async do(task, signal) {
      if (task === -1) process.kill(process.pid, "SIGKILL")
      if (task === -2) for (;;);
      if (task === -3) kept.push(Buffer.alloc(2e8, 1))
      if (task === -4) await once(signal, "abort")
      if (task === -5) await new Promise(() => {})
      if (task === -6) for (const end = Date.now() + 3000; Date.now() < end; );
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
  writeFileSync(join(folder, "pids"), "")
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
  expect(pids()).toContain(first)
  expect(pids().filter(isRunning)).toEqual([])
})

/** All that were ever started. */
const pids = () => readFileSync(join(folder, "pids"), "utf8").split("\n").filter(Boolean).map(Number)

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

test("one that never opens is the machine's fault, and said so after five tries", async () => {
  await using lasting = open("die")
  const failed = lasting.ask(1)
  await expect(failed).rejects.toThrow(EnvironmentError)
  await expect(failed).rejects.toThrow("a process ended with exit code 3, as it opened")
  expect(openings("die")).toBe(5)
})

test("one that says why it cannot open is asked again only by the next task", async () => {
  await using lasting = open("fail")
  await expect(lasting.ask(1)).rejects.toThrow("fails")
  expect([openings("fail"), lasting.failure?.message]).toEqual([1, "fails"])
  await expect(lasting.ask(1)).rejects.toThrow("fails")
  expect(openings("fail")).toBe(2)
})

const openings = (settings: string) => readFileSync(join(folder, `opened-${settings}`), "utf8").length

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

test("one that is ended while its replacement opens leaves no process", async () => {
  const lasting = open("live", { ...lifetimeDefaults, mostTasks: 1 })
  const before = pids().length
  expect(await lasting.ask(1)).toBe(1)
  await lasting[Symbol.asyncDispose]()
  await sleep(100)
  expect(pids().slice(before).filter(isRunning)).toEqual([])
  await expect(lasting.ask(1)).rejects.toThrow("the server is stopping")
})

test("signals that a terminal sends to all processes are the parent's alone", async () => {
  await using lasting = open()
  await lasting.ask(1)
  const first = lasting.pid!
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(first, signal)
  expect(await lasting.ask(50)).toBe(50)
  expect([lasting.pid, lasting.counts.deaths]).toEqual([first, 0])
})

test("a task that nobody waits for any more is told so", async () => {
  await using lasting = open()
  await lasting.description()
  const stop = new AbortController()
  const left = lasting.ask(-4, stop.signal)
  await lasting.ask(1)
  stop.abort()
  expect(await left).toBe(-4)
})

test("a process that does not end with its channel is killed", async () => {
  const lasting = open("stay")
  await lasting.description()
  const pid = lasting.pid!
  await lasting[Symbol.asyncDispose]()
  expect(isRunning(pid)).toBe(false)
})

test("a process that needs much memory from its first answers on is not replaced for it; one that takes more later is", async () => {
  await using lasting = open("live", { ...lifetimeDefaults, mostBytes: 1 })
  await lasting.description()
  const first = lasting.pid
  for (let i = 0; i < 100; i++) await lasting.ask(0)
  expect([lasting.pid, lasting.counts]).toEqual([first, { deaths: 0, replaced: 0 }])
  await lasting.ask(-3)
  while (lasting.counts.replaced === 0) await sleep(5)
  expect(lasting.pid).not.toBe(first)
  expect(lasting.residentBytes).toBeLessThan(2e8)
})

const hasty = { ...lifetimeDefaults, hangSeconds: 1.5 }

test("a process that was stopped is killed, and its tasks are done by the next", async () => {
  await using lasting = open("live", hasty)
  await lasting.ask(1)
  const first = lasting.pid!
  process.kill(first, "SIGSTOP")
  expect(await Promise.all([3, 4].map((task) => lasting.ask(task)))).toEqual([3, 4])
  while (isRunning(first) || lasting.counts.deaths === 0) await sleep(5)
  expect([lasting.pid === first, lasting.counts.deaths]).toEqual([false, 1])
})

test("a process that is stopped before it is open is killed, and another one is opened", async () => {
  await using lasting = open("halt", hasty)
  const before = pids().length
  expect(await lasting.ask(1)).toBe(1)
  const first = pids()[before]!
  while (isRunning(first)) await sleep(5)
  expect(lasting.pid).not.toBe(first)
})

test("a process that computes is not killed, however long it hears nothing", async () => {
  await using lasting = open("live", hasty)
  const first = await lasting.description().then(() => lasting.pid)
  expect(await lasting.ask(-6)).toBe(-6)
  expect([lasting.pid, lasting.counts.deaths]).toEqual([first, 0])
})

test("a process of which a thread hangs is killed when nobody has waited for that task for long", async () => {
  await using lasting = open("live", { ...lifetimeDefaults, hangSeconds: 1 })
  await lasting.description()
  const first = lasting.pid!
  const stop = new AbortController()
  const left = expect(lasting.ask(-5, stop.signal)).rejects.toThrow("left")
  await lasting.ask(1)
  stop.abort(new Error("left"))
  await left
  expect(await lasting.ask(2)).toBe(2)
  while (isRunning(first)) await sleep(5)
  expect(lasting.pid).not.toBe(first)
})

test("a process that computes for ever ends when its parent is killed", async () => {
  const parent = join(folder, "parent.mjs")
  const library = fileURLToPath(workerFile(import.meta.url, "lasting"))
  writeFileSync(
    parent,
    `import { LastingProcess } from ${JSON.stringify(library)}
const lasting = new LastingProcess(${JSON.stringify({ file, settings: "live" })})
await lasting.description()
lasting.ask(-2)
setTimeout(() => console.log(lasting.pid), 200)`,
  )
  const forking = spawn(process.execPath, [parent], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = await once(forking.stdout, "data")
  const pid = Number(String(line))
  expect(isRunning(pid)).toBe(true)
  forking.kill("SIGKILL")
  await once(forking, "exit")
  while (isRunning(pid)) await sleep(20)
})
