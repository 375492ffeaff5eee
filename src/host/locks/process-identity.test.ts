import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { isRunning, thisProcess } from "./process-identity.ts"

const unknown = "00000000"

test("this process runs, and earlier ones with the same id do not", () => {
  const { pid, start, machine } = thisProcess()
  expect(pid).toBe(process.pid)
  for (const digits of [start, machine]) expect(digits).toMatch(/^[0-9a-f]{8}$/)
  expect(start).not.toBe(unknown)
  expect(thisProcess()).toEqual({ pid, start, machine })
  expect(isRunning({ pid, start })).toBe(true)
  expect(isRunning({ pid, start: "12345678" })).toBe(false)
  expect(isRunning({ pid, start: unknown })).toBe(true)
})

test("a process runs until it was killed; the first one of the machine is another user's", async () => {
  const child = spawn("sleep", ["60"])
  expect(isRunning({ pid: child.pid!, start: unknown })).toBe(true)
  child.kill("SIGKILL")
  await once(child, "exit")
  expect(isRunning({ pid: child.pid!, start: unknown })).toBe(false)
  expect(isRunning({ pid: 1, start: unknown })).toBe(true)
})

test.runIf(process.platform === "linux")(
  "a process that has ended does not run, even if its parent did not ask",
  async () => {
    const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"])
    const [line] = await once(parent.stdout, "data")
    const pid = Number(String(line))
    // The shell itself may ask.
    const program = () => readFileSync(`/proc/${parent.pid}/comm`, "utf8")
    await expect.poll(program).toBe("sleep\n")
    process.kill(pid, "SIGKILL")
    await expect.poll(() => isRunning({ pid, start: unknown })).toBe(false)
    expect(process.kill(pid, 0)).toBe(true)
    parent.kill("SIGKILL")
    await once(parent, "exit")
  },
)
