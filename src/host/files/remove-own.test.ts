import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { removeOwn } from "./remove-own.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "own-"))
  mkdirSync(at("left", "deep"), { recursive: true })
  mkdirSync(at("victim"))
  for (const path of [at("left", "a"), at("left", "deep", "b"), at("victim", "c")]) writeFileSync(path, "")
})
afterEach(() => rmSync(folder, { recursive: true }))

test("a folder goes with what is in it, whatever its mode; what links in it lead to stays", async () => {
  symlinkSync(at("victim"), at("left", "deep", "link"))
  chmodSync(at("left", "deep"), 0o777)
  await removeOwn(at("left"))
  expect(readdirSync(folder)).toEqual(["victim"])
  expect(readdirSync(at("victim"))).toEqual(["c"])
})

test("a file goes, and a link without what it leads to", async () => {
  symlinkSync(at("victim"), at("link"))
  for (const path of [at("link"), at("left", "a")]) await removeOwn(path)
  expect(readdirSync(folder).sort()).toEqual(["left", "victim"])
  expect(readdirSync(at("left"))).toEqual(["deep"])
  expect(readdirSync(at("victim"))).toEqual(["c"])
})

test("another user's files stay", async () => {
  const user = vi.spyOn(process, "getuid").mockReturnValue(process.getuid!() + 1)
  try {
    for (const path of [at("left"), at("left", "a")]) await removeOwn(path)
    expect(readdirSync(at("left"))).toEqual(["a", "deep"])
  } finally {
    user.mockRestore()
  }
})

/** Only the administrator can give a file away. */
describe.runIf(process.getuid?.() === 0)("another user's files", () => {
  const nobody = 65_534

  test("a folder within one of ours keeps all of it", async () => {
    chownSync(at("left", "deep"), nobody, nobody)
    await removeOwn(at("left"))
    expect(existsSync(at("left", "a"))).toBe(true)
    expect(existsSync(at("left", "deep", "b"))).toBe(true)
  })
})

test.runIf(process.platform === "linux").each([1, 2])(
  "a folder whose name leads elsewhere by the time it is asked for the %i. time does no harm",
  async (time) => {
    const uid = process.getuid!()
    let times = 0
    const user = vi.spyOn(process, "getuid").mockImplementation(() => {
      if (++times === time) {
        renameSync(at("left"), at("moved"))
        symlinkSync(at("victim"), at("left"))
      }
      return uid
    })
    try {
      await expect(removeOwn(at("left"))).rejects.toThrow(/ELOOP|ENOTDIR/)
      expect(readdirSync(at("victim"))).toEqual(["c"])
    } finally {
      user.mockRestore()
    }
  },
)
