/** Files that cannot be read: what is the file's fault is kept, what is the machine's is tried again. The reader's errors are injected. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { exportModel } from "../../export/export.ts"
import { IndexStore } from "../store/index-store.ts"
import { type IndexOptions, indexPictures, retryFailures } from "./index-pictures.ts"

/** Codes of errors by the ends of paths. */
const failing = new Map<string, string>()

vi.mock("../../host/files/files.ts", async (original) => {
  const real = await original<typeof import("../../host/files/files.ts")>()
  const { fileError } = await import("../../host/files/file-error.ts")
  const readBytes: typeof real.readBytes = (path, checkSize) => {
    const code = [...failing].find(([end]) => path.endsWith(end))?.[1]
    if (code === undefined) return real.readBytes(path, checkSize)
    throw fileError(Object.assign(new Error(code), { code }), "reading", path)
  }
  return { ...real, readBytes }
})

let folder: string
let own: string
let runs = 0
const at = (...names: string[]) => join(own, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unread-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "tiny"))
})
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(async () => {
  failing.clear()
  own = join(folder, String(runs++))
  mkdirSync(at("pictures"), { recursive: true })
  for (const [i, name] of ["a", "b", "c"].entries()) writeFileSync(at("pictures", `${name}.png`), await picture(i))
})

function picture(red: number): Promise<Buffer> {
  const background = { r: 20 + 60 * red, g: 9, b: 9 }
  return sharp({ create: { width: 70, height: 70, channels: 3, background } })
    .png()
    .toBuffer()
}

const run = (options: IndexOptions = {}) =>
  indexPictures(at("index"), [at("pictures")], { model: join(folder, "tiny"), threads: 0, ...options })

function rows(sql: string) {
  using store = IndexStore.open(at("index"))
  return store.rows(sql)
}

test.each(["EMFILE", "ENFILE", "EIO", "ESTALE", "ENODEV"])(
  "%s of a file is not kept as its failure: the next run reads it",
  async (code) => {
    failing.set("b.png", code)
    const notes: string[] = []
    const failures: string[] = []
    const told = { onNote: (line: string) => notes.push(line), onFailure: (path: string) => failures.push(path) }
    expect(await run(told)).toMatchObject({ encoded: 2, failed: 0, unread: 1, files: 2 })
    expect([notes, failures]).toEqual([
      [expect.stringMatching(/b\.png: the next run tries again$/)],
      [at("pictures", "b.png")],
    ])
    expect(rows("SELECT path FROM failures")).toEqual([])
    failing.clear()
    expect(await run()).toMatchObject({ encoded: 1, unread: 0, unchanged: 2, files: 3 })
  },
)

test("a changed file that the machine cannot read keeps what the index has of it", async () => {
  await run()
  writeFileSync(at("pictures", "b.png"), await picture(3))
  failing.set("b.png", "EIO")
  expect(await run()).toMatchObject({ encoded: 0, unread: 1, removed: 0, files: 3, pictures: 3 })
  failing.clear()
  expect(await run()).toMatchObject({ encoded: 1, unread: 0, files: 3, pictures: 3 })
})

test("a file without permission is a failure, told apart from what is unchanged, and is tried again when that is asked for", async () => {
  failing.set("b.png", "EACCES")
  expect(await run()).toMatchObject({ encoded: 2, failed: 1, unread: 0 })
  expect(rows("SELECT reason FROM failures")).toEqual([
    { reason: `no permission for reading ${at("pictures", "b.png")}` },
  ])
  failing.clear()
  expect(await run()).toMatchObject({ encoded: 0, failed: 0, unchanged: 2, failedBefore: 1 })
  expect(await retryFailures(at("index"), { threads: 0 })).toMatchObject({ encoded: 1, failedBefore: 0, unchanged: 2 })
})

test("a picture whose name is not UTF-8 is a failure that shows the bytes of its name, until it is renamed", async () => {
  const unnamed = Buffer.concat([Buffer.from(`${at("pictures")}/caf`), Buffer.from([0xe9]), Buffer.from(".png")])
  try {
    writeFileSync(unnamed, await picture(3))
  } catch (error) {
    // APFS takes no such name.
    expect((error as NodeJS.ErrnoException).code).toBe("EILSEQ")
    return
  }
  const reasons: string[] = []
  expect(await run({ onFailure: (_, reason) => reasons.push(reason) })).toMatchObject({ encoded: 3, failed: 1 })
  expect(reasons).toEqual([expect.stringContaining("its name is not UTF-8 (caf\\xe9.png); rename it")])
  expect(await run()).toMatchObject({ encoded: 0, failed: 0, failedBefore: 1, unchanged: 3 })
  expect(await retryFailures(at("index"), { threads: 0 })).toMatchObject({ failed: 1, failedBefore: 0 })
  rmSync(unnamed)
  writeFileSync(at("pictures", "café.png"), await picture(3))
  utimesSync(at("pictures", "café.png"), 1, 1)
  expect(await run()).toMatchObject({ encoded: 1, failed: 0, failedBefore: 0 })
  expect(rows("SELECT path FROM failures")).toEqual([])
})
