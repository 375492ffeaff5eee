import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { hitOf, pageOf } from "../../../test/search-page.ts"
import { UserError } from "../../core/errors.ts"
import { checkFiles, firstReadable } from "./hit-files.ts"

const folder = mkdtempSync(join(tmpdir(), "hit-files-"))
afterAll(() => rmSync(folder, { recursive: true }))
const [here, also, gone] = ["here.jpg", "also.jpg", "gone.jpg"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
]
for (const path of [here, also]) writeFileSync(path, "")

test("files that are there come first, and the others are named", () => {
  const hits = [[here], [gone], [gone, here, also]].map((paths, place) => ({ ...hitOf("", place), paths }))
  const checked = checkFiles({ ...pageOf([]), hits }).hits
  expect(checked.map(({ paths, missing }) => [paths, missing])).toEqual([
    [[here], []],
    [[gone], [gone]],
    [[here, also, gone], [gone]],
  ])
})

test("the first file that can be read, or why the first cannot", async () => {
  const read = async (path: string) => {
    if (path === also) return "its pixels"
    throw path === gone ? new UserError(`${gone} is not there`) : new UserError(`${here} is not a picture`)
  }
  expect(await firstReadable([gone, here, also], read)).toEqual({ path: also, value: "its pixels" })
  expect(await firstReadable([here, gone], read)).toEqual({ reason: "not a picture" })
  const fault = firstReadable([here, also], () => Promise.reject(new TypeError("ours")))
  await expect(fault).rejects.toThrow(TypeError)
})
