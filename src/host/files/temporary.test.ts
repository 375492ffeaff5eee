import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { UserError } from "../../core/errors.ts"
import { workerFile } from "../worker-file.ts"
import { temporaryFile, temporaryFolder } from "./temporary.ts"

let around: string
beforeEach(() => {
  around = mkdtempSync(join(tmpdir(), "temporary-"))
})
afterEach(() => rmSync(around, { recursive: true }))

/** A process that makes a folder with a file in it, and ends in the given way. */
function run(end: string): void {
  const program = `
    import { writeFileSync } from "node:fs"
    import { temporaryFolder } from ${JSON.stringify(workerFile(import.meta.url, "temporary").href)}
    const folder = temporaryFolder("test", ${JSON.stringify(around)})
    writeFileSync(folder.path + "/x", "x")
    ${end}`
  spawnSync(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" })
}

test("a folder is there until it is disposed of", () => {
  let path: string
  {
    using folder = temporaryFolder("test", around)
    path = folder.path
    expect(dirname(path)).toBe(around)
    expect(basename(path)).toMatch(/^mobileclip-test-[0-9a-f]{32}$/)
    writeFileSync(join(path, "x"), "x")
  }
  expect(existsSync(path)).toBe(false)
  expect(() => temporaryFolder("test", join(around, "none"))).toThrow(UserError)
})

test("a process that exits without disposing leaves nothing", () => {
  run("process.exit(1)")
  expect(readdirSync(around)).toEqual([])
})

test("what a killed process left goes where the next one makes its own of that kind; others' stay", async () => {
  run(`process.kill(process.pid, "SIGKILL")`)
  const [killed] = readdirSync(around)
  expect(killed).toMatch(/^mobileclip-test-/)
  const dead = killed!.replace("mobileclip-test-", "")
  mkdirSync(join(around, `mobileclip-other-${dead}`))
  mkdirSync(join(around, "mobileclip-test-XyZ123"))
  writeFileSync(join(around, `mobileclip-test-${dead}-copy.tar`), "")
  const file = temporaryFile("test", "b.tar", around)
  writeFileSync(file, "")
  const left = [`mobileclip-other-${dead}`, "mobileclip-test-XyZ123", basename(file)].sort()
  await expect.poll(() => readdirSync(around).sort()).toEqual(left)
  await sleep(50)
  expect(readdirSync(around).sort()).toEqual(left)
  expect(basename(file)).toMatch(/^mobileclip-test-[0-9a-f]{32}-b\.tar$/)
})

test("the time of a folder is renewed while it is in use, even if it is only read", () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  try {
    const folder = temporaryFolder("test", around)
    const long = new Date(Date.now() - 25 * 3600 * 1000)
    utimesSync(folder.path, long, long)
    vi.advanceTimersByTime(3600 * 1000)
    expect(Date.now() - statSync(folder.path).mtimeMs).toBeLessThan(60_000)
    folder[Symbol.dispose]()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test("what another user made stays, whatever its name", async () => {
  run(`process.kill(process.pid, "SIGKILL")`)
  const [killed] = readdirSync(around)
  const user = vi.spyOn(process, "getuid").mockReturnValue(statSync(around).uid + 1)
  try {
    rmSync(temporaryFile("test", "a", around), { force: true })
    // Whose it is was asked: what would remove it follows at once.
    await expect.poll(() => user.mock.calls.length).toBeGreaterThan(0)
    await sleep(200)
    expect(readdirSync(around)).toEqual([killed])
  } finally {
    user.mockRestore()
  }
})
