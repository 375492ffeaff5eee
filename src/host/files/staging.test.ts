import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { thisProcess } from "../locks/process-identity.ts"
import { workerFile } from "../worker-file.ts"
import {
  isEarlierStagingName,
  isStagingName,
  removeAbandoned,
  removeAbandonedBelow,
  removeAbandonedOnce,
  stagingPath,
  withoutStagingNames,
} from "./staging.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "staging-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Another process in the middle of a file that never ends. */
async function startWriting() {
  const program = `
    import { writeAtomically } from ${JSON.stringify(workerFile(import.meta.url, "files").href)}
    async function* chunks() {
      for (;;) {
        yield "some"
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    await writeAtomically(${JSON.stringify(join(folder, "other"))}, chunks())`
  const writer = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" })
  for (const deadline = performance.now() + 20_000; readdirSync(folder).length === 0; await sleep(20))
    if (performance.now() > deadline) throw new Error("nothing is written")
  return writer
}

test("what a process is writing stays; what it left when it was killed goes", async () => {
  const writer = await startWriting()
  const [building] = readdirSync(folder)
  expect(building).toMatch(/^\.other\./)
  await removeAbandoned(folder)
  expect(readdirSync(folder)).toEqual([building])
  writer.kill("SIGKILL")
  await once(writer, "exit")
  writeFileSync(join(folder, "other"), "whole")
  await removeAbandoned(folder)
  expect(readdirSync(folder)).toEqual(["other"])
})

test("files of this process, and of unknown ones until a day without a write, stay", async () => {
  const [own, foreign, old] = [
    stagingPath(join(folder, "own")),
    join(folder, ".a.0123456789abcdef0123456789abcdef.tmp"),
    join(folder, ".b.0123456789abcdef0123456789abcdee.tmp"),
  ]
  for (const path of [own, foreign]) writeFileSync(path, "")
  mkdirSync(old)
  utimesSync(old, new Date(), new Date(Date.now() - 25 * 3600 * 1000))
  await removeAbandoned(folder)
  expect(readdirSync(folder).sort()).toEqual([basename(foreign), basename(own)].sort())
})

test("names that this program does not give, as dates in those of backups are, stay for ever", async () => {
  const names = [".album.202411291200.tmp", ".b.0123456789abcdef01234567.tmp", ".notes.202411291200.old"]
  for (const name of names) {
    writeFileSync(join(folder, name), "precious")
    utimesSync(join(folder, name), new Date(), new Date(Date.now() - 48 * 3600 * 1000))
  }
  expect(names.map(isStagingName)).toEqual([false, false, false])
  expect(names.map(isEarlierStagingName)).toEqual([true, true, true])
  await removeAbandonedBelow(folder)
  expect(readdirSync(folder).sort()).toEqual(names)
  expect(withoutStagingNames(join(folder, names[2]!))).toBe(join(folder, names[2]!))
})

test("files of a dead process are removed though another one has its id by now", async () => {
  const { pid, machine, start } = thisProcess()
  const name = (begun: string) => `.a.${pid.toString(16).padStart(8, "0")}${machine}${begun}01234567.tmp`
  for (const begun of [start, "12345678"]) writeFileSync(join(folder, name(begun)), "")
  await removeAbandoned(folder)
  expect(readdirSync(folder)).toEqual([name(start)])
})

test("a folder is cleaned once in a process's life, and to a given depth", async () => {
  const left = (place: string) => {
    mkdirSync(join(folder, place), { recursive: true })
    writeFileSync(join(folder, place, `.a.7fffffff${thisProcess().machine}0000000001234567.tmp`), "")
  }
  for (const place of ["", "1", "1/2", "1/2/3"]) left(place)
  await removeAbandonedBelow(folder)
  const hidden = () =>
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((path) => path.endsWith(".tmp"))
  expect(hidden()).toEqual([expect.stringMatching(/^1\/2\/3\/\.a\./)])
  left("")
  await removeAbandonedOnce(folder)
  expect(hidden()).toHaveLength(1)
  left("")
  await removeAbandonedOnce(folder)
  expect(hidden()).toHaveLength(2)
})

test("a folder that is not there has nothing to remove", async () => {
  await expect(removeAbandoned(join(folder, "none"))).resolves.toBeUndefined()
})

test("staging names are told from others, and shown as the final names", () => {
  const path = stagingPath("/data/a.tar")
  expect(isStagingName(basename(path))).toBe(true)
  expect(isStagingName("a.tar")).toBe(false)
  expect(isStagingName(".a.012345.tmp")).toBe(false)
  expect(withoutStagingNames(join(path, "part"))).toBe("/data/a.tar/part")
  expect(stagingPath("/data/a.tar")).not.toBe(path)
})

/** Names of a process that is gone. */
function leftBy({ machine }: { machine: string }, name: string, kind: "tmp" | "old"): string {
  return `.${name}.7fffffff${machine}1234567801234567.${kind}`
}

test("on another machine, the newest file of a folder counts", async () => {
  const elsewhere = { machine: "12345678" }
  const names = ["fresh", "stale"].map((name) => leftBy(elsewhere, name, "tmp"))
  const long = new Date(Date.now() - 25 * 3600 * 1000)
  for (const name of names) {
    mkdirSync(join(folder, name, "onnx"), { recursive: true })
    const file = join(folder, name, "onnx", "model.onnx")
    writeFileSync(file, "")
    if (name === names[1]) utimesSync(file, long, long)
    for (const path of [join(name, "onnx"), name]) utimesSync(join(folder, path), long, long)
  }
  await removeAbandoned(folder)
  expect(readdirSync(folder)).toEqual([names[0]])
})

test("what another user left stays, and does not come back either", async () => {
  const names = [
    leftBy(thisProcess(), "a", "tmp"),
    leftBy(thisProcess(), "b", "old"),
    leftBy(thisProcess(), "c", "tmp"),
  ]
  for (const name of names.slice(0, 2)) mkdirSync(join(folder, name))
  writeFileSync(join(folder, names[2]!), "")
  const user = vi.spyOn(process, "getuid").mockReturnValue(statSync(folder).uid + 1)
  try {
    await removeAbandoned(folder)
    expect(readdirSync(folder)).toEqual(names)
  } finally {
    user.mockRestore()
  }
})
