import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { Spill } from "./spill.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spill-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

test("what was appended is read again, and is gone afterwards", () => {
  {
    using spill = new Spill(folder)
    expect(spill.append(Uint8Array.of(1, 2, 3))).toEqual({ start: 0, length: 3 })
    expect(spill.append(Uint8Array.of(4, 5))).toEqual({ start: 3, length: 2 })
    expect([...spill.read(2, 3)]).toEqual([3, 4, 5])
  }
  expect(readdirSync(folder)).toEqual([])
})

test("a file that was cut is an error, and is not waited for", () => {
  using spill = new Spill(folder)
  spill.append(Uint8Array.of(1, 2, 3))
  truncateSync(join(folder, readdirSync(folder)[0]!, "keys"), 1)
  expect(() => spill.read(0, 3)).toThrow("was cut while it was in use")
})
