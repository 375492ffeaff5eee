import { spawn } from "node:child_process"
import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest"
import {
  brute,
  count,
  pictureOf,
  pictures,
  rowsOf,
  SmallIndex,
  settings,
  textTerm,
  vectorOf,
} from "../../../test/small-index.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexWriter } from "../store/index-writer.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

test.each([0, 0.3])("pages are the whole order while better pictures are added; words weigh %s", async (words) => {
  const path = small.copy()
  const writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const request = { terms: [textTerm("beach")], words, limit: 17 }
  const whole = rowsOf(await index.search({ ...request, limit: 1000 }))
  const found: number[] = []
  const ranks: number[] = []
  let cursor: string | null = null
  do {
    const page = await index.search({ ...request, cursor })
    found.push(...rowsOf(page))
    ranks.push(...page.hits.map(({ rank }) => rank))
    cursor = page.cursor
    const n = writer.store.count
    const better = { ...pictureOf(n), vector: await small.textVector("beach") }
    writer.addPictures(writer.active!, [{ ...better, files: [{ root: 1, path: `beach/${n}`, size: 1, mtime: 1 }] }])
  } while (cursor !== null)
  expect(found).toEqual(whole)
  expect(ranks).toEqual(whole.map((_, i) => i + 1))
  expect(whole.includes(rowsOf(await index.search(request))[0]!)).toBe(false)
  writer[Symbol.dispose]()
})

test("a cursor of another query, a damaged one, and one of before a migration are refused", async () => {
  const path = small.copy()
  await using index = await SearchIndex.open(path)
  const { cursor } = await index.search({ terms: [textTerm("a")], limit: 3 })
  await expect(index.search({ terms: [textTerm("b")], cursor })).rejects.toThrow(/of another query or other filters/)
  await expect(index.search({ terms: [textTerm("a")], filters: { formats: ["png"] }, cursor })).rejects.toThrow(
    /other filters/,
  )
  await expect(index.search({ terms: [textTerm("a")], cursor: "nonsense" })).rejects.toThrow(/is not one that a page/)
  await migrate(path)
  await expect(index.search({ terms: [textTerm("a")], cursor })).rejects.toThrow(/was migrated or compacted/)
})

/** To a generation with the vectors in reverse order. */
async function migrate(path: string, isReverse = true): Promise<void> {
  const writer = await IndexWriter.open(path, "a test")
  const next = writer.addGeneration({ ...writer.active!, settings })
  for (let n = 0; n < count; n++) {
    writer.setVectors(next, n, vectorOf(isReverse ? count - 1 - n : n))
    if (n % 50 === 0) await setImmediate()
  }
  await writer.activate(next)
  writer[Symbol.dispose]()
}

test("queries during migrations are of one generation, and none fails", async () => {
  const path = small.copy()
  await using index = await SearchIndex.open(path)
  const query = await small.textVector("x")
  const before = brute(query)
  const after = before.map((n) => count - 1 - n)
  const isOne = (rows: readonly number[]) =>
    [before, after].some((order) => String(order.slice(0, 30)) === String(rows))
  let isDone = false
  const migrations = (async () => {
    for (let turn = 0; turn < 5; turn++) await migrate(path, turn % 2 === 0)
    isDone = true
  })()
  let asked = 0
  do {
    expect(isOne(rowsOf(await index.search({ terms: [textTerm("x")], words: 0, limit: 30 })))).toBe(true)
    asked++
  } while (!isDone)
  await migrations
  // Some before, some between the switches.
  expect(asked).toBeGreaterThan(5)
  expect(rowsOf(await index.search({ terms: [textTerm("x")], words: 0, limit: 30 }))).toEqual(after.slice(0, 30))
})

test("another process adds while this one pages", async () => {
  const path = small.copy()
  const script = join(small.folder, "append.mjs")
  writeFileSync(
    script,
    `import { DatabaseSync } from ${JSON.stringify(import.meta.resolve("@photostructure/sqlite"))}
     const db = new DatabaseSync(${JSON.stringify(join(path, "index.sqlite"))})
     db.exec("PRAGMA busy_timeout = 10000")
     process.stdout.write("ready")
     for (let n = 1000; ; n++) {
       db.exec("BEGIN IMMEDIATE")
       db.prepare("INSERT INTO files (root, path, size, mtime, content) VALUES (1, ?, 1, 1, 1)").run("x" + n)
       db.exec("COMMIT")
       await new Promise((resolve) => setTimeout(resolve, 1))
     }`,
  )
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] })
  onTestFinished(() => void child.kill())
  await new Promise((resolve) => child.stdout.once("data", resolve))
  await using index = await SearchIndex.open(path)
  const found: number[] = []
  let cursor: string | null = null
  do {
    const page = await index.search({ terms: [textTerm("y")], limit: 9, cursor, filters: { folders: [pictures] } })
    found.push(...rowsOf(page))
    cursor = page.cursor
  } while (cursor !== null)
  expect(child.exitCode).toBe(null)
  expect(found.length).toBe(count)
  expect(new Set(found).size).toBe(count)
})

test("an index that another one takes the place of is the other one from the next query on; one that is gone is missed", async () => {
  const path = small.copy()
  await using index = await SearchIndex.open(path)
  const request = { terms: [textTerm("x")], words: 0, limit: 3 }
  const { cursor } = await index.search(request)
  const other = join(small.folder, "other")
  const writer = await small.empty(other)
  writer.addPictures(
    writer.active!,
    Array.from({ length: count }, (_, n) => pictureOf(n + 1000)),
  )
  writer[Symbol.dispose]()
  renameSync(path, `${path}-before`)
  await expect(index.search(request)).rejects.toThrow(`there is no index in ${path}: it does not exist`)
  renameSync(other, path)
  const page = await index.search(request)
  expect(page.hits.filter(({ paths }) => /IMG_1\d{3}\.jpg$/.test(paths[0]!))).toHaveLength(3)
  await expect(index.search({ ...request, cursor })).rejects.toThrow("the index was migrated or compacted")
})

test("an index is closed when its queries have ended", async () => {
  const index = await SearchIndex.open(small.path)
  const pages = [1, 2, 3].map((limit) => index.search({ terms: [textTerm(`asked at the end ${limit}`)], limit }))
  await index.dispose()
  expect((await Promise.all(pages)).map(({ hits }) => hits.length)).toEqual([1, 2, 3])
  await expect(index.search({ terms: [textTerm("x")] })).rejects.toThrow("was disposed")
})
