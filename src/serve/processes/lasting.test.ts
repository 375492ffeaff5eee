import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { FatalTask, LastingProcess } from "./lasting.ts"

/** Answers a number with itself, after so many milliseconds; -1 ends the process, and so does the setting "die". */
const code = (parent: string) => `
import { serveParent } from ${JSON.stringify(parent)}
import { setTimeout as sleep } from "node:timers/promises"
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

const open = (settings = "live") => new LastingProcess<string, string, number, number>({ file, settings })

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

test("a process that is killed time and again loses no task", async () => {
  await using lasting = open()
  await lasting.description()
  const tasks = Array.from({ length: 16 }, (_, i) => 20 + i)
  let [answered, kills] = [0, 0]
  const asked = Promise.all(tasks.map((task) => lasting.ask(task).finally(() => answered++)))
  let last: number | undefined
  // A new one each time, when it has answered something.
  for (let before = -1; answered < tasks.length && kills < 4; await new Promise((resolve) => setTimeout(resolve, 5))) {
    const pid = await lasting.pid()
    if (pid === undefined || pid === last || (kills > 0 && answered === before)) continue
    process.kill(pid, "SIGKILL")
    ;[last, before] = [pid, answered]
    kills++
  }
  expect(await asked).toEqual(tasks)
  expect(kills).toBe(4)
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
  const pid = (await lasting.pid())!
  const refused = expect(left).rejects.toThrow("left")
  stop.abort(new Error("left"))
  process.kill(pid, "SIGKILL")
  await refused
})
