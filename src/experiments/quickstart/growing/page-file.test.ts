import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { PageFile } from "./page-file.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-page-file-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A page that counts how often it was made, and a clock; a page takes no time on it unless one is said. */
function paged(path: string, took = 0) {
  const state = { time: 0, made: 0, said: [] as string[] }
  const make = async () => {
    state.made++
    state.time += took
    return new Map([[path, `page ${state.made}`]])
  }
  const file = new PageFile(
    make,
    (line) => state.said.push(line),
    () => state.time,
  )
  const settled = () => (file as unknown as { writing: Promise<void> | null }).writing
  return { state, file, settled }
}

test("at a turn the page is written at once, at progress only when it is due", async () => {
  const path = join(folder, "due.html")
  const { state, file, settled } = paged(path)
  file.changed("turn")
  await settled()
  file.changed("progress")
  await settled()
  expect(state.made).toBe(1)
  state.time = 5
  file.changed("progress")
  await settled()
  file.changed("turn")
  await file.close()
  expect(state.made).toBe(3)
  expect(await readFile(path, "utf8")).toBe("page 3")
  file.changed("turn")
  await settled()
  expect(state.made).toBe(3)
  expect((await readdir(folder)).sort()).toEqual(["due.html"])
})

test("turns while a page is being written give one more, with what is true then", async () => {
  const { state, file } = paged(join(folder, "turns.html"))
  for (let i = 0; i < 5; i++) file.changed("turn")
  await file.close()
  expect(state.made).toBe(2)
})

test("a page that takes long is written less often", async () => {
  const { state, file, settled } = paged(join(folder, "slow.html"), 0.5)
  file.changed("turn")
  await settled()
  state.time += 9
  file.changed("progress")
  await settled()
  expect(state.made).toBe(1)
  state.time += 1
  file.changed("progress")
  await file.close()
  expect(state.made).toBe(2)
})

test("where it cannot be written, that is said once, and it is tried again", async () => {
  const missing = join(folder, "missing")
  const { state, file, settled } = paged(join(missing, "report.html"))
  file.changed("turn")
  await settled()
  file.changed("turn")
  await settled()
  expect(state.said).toEqual([expect.stringMatching(/^the page was not written, and the run goes on: .*missing/)])
  await mkdir(missing)
  file.changed("turn")
  await file.close()
  expect(await readdir(missing)).toEqual(["report.html"])
  expect(state.said).toHaveLength(1)
})
