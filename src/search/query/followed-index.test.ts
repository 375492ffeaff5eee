import { spawn } from "node:child_process"
import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest"
import {
  brute,
  count,
  dim,
  pictureOf,
  pictures,
  rowsOf,
  SmallIndex,
  settings,
  textTerm,
  vectorOf,
} from "../../../test/small-index.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { describeContent, putFile } from "../store/picture-rows.ts"
import { FollowedIndex } from "./followed-index.ts"
import type { SearchHit, SearchPage } from "./search-page.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

/** Pages of an index, and what is added between two of them. */
async function pagesWhile(
  index: SearchIndex,
  request: { terms: ReturnType<typeof textTerm>[]; words: number; limit: number },
  add: () => Promise<void>,
) {
  const hits: SearchHit[] = []
  let cursor: string | null = null
  do {
    const page: SearchPage = await index.search({ ...request, cursor })
    hits.push(...page.hits)
    cursor = page.cursor
    expect(hits.length, "pages that never end").toBeLessThanOrEqual(count)
    await add()
  } while (cursor !== null)
  return hits
}

const sorted = (rows: readonly number[]) => rows.toSorted((a, b) => a - b)

test.each([0, 0.3])(
  "pages are the whole order while better and worse pictures are added; words weigh %s",
  async (words) => {
    const path = small.copy()
    using writer = await IndexWriter.open(path, "a test")
    await using index = await SearchIndex.open(path)
    const request = { terms: [textTerm("beach")], words, limit: 17 }
    const whole = await index.search({ ...request, limit: 1000 })
    const vector = await small.textVector("beach")
    const add = async () => {
      for (const sign of [1, 0.5, -1]) {
        const n = writer.store.count
        const between = vector.map((value, d) => sign * value + (1 - Math.abs(sign)) * vectorOf(n)[d]!)
        const files = [{ root: 1, path: `beach/${n}`, size: 1, mtime: 1 }]
        writer.addPictures(writer.active!, [{ ...pictureOf(n), vector: l2Normalize(between, dim), files }])
      }
    }
    const found = await pagesWhile(index, request, add)
    expect(found.map(({ position, score }) => [position, score])).toEqual(
      whole.hits.map(({ position, score }) => [position, score]),
    )
    expect(found.map(({ rank }) => rank)).toEqual(whole.hits.map((_, i) => i + 1))
    const first = rowsOf(await index.search(request))
    expect(rowsOf(whole).includes(first[0]!)).toBe(false)
  },
)

test("a word has the weight of the first page on all pages, and files that came later have none", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const request = { terms: [textTerm("beach winter")], words: 20, limit: 30 }
  // These are names of a picture that has the word by its own one, too: they go between two pages, and its rank stays.
  const extra = Array.from({ length: 30 }, (_, i) => ({ root: 1, path: `extra/beach/${i}.jpg`, size: 1, mtime: 1 }))
  writer.store.writing(() => {
    for (const file of extra) putFile(writer.store, { file, content: 8 })
  })
  const whole = await index.search({ ...request, limit: 1000 })
  const beach = { terms: [textTerm("beach")], limit: count }
  const before = (await index.search(beach)).hits.filter(({ words }) => words!.score === 1)
  let added = 0
  const add = async () => {
    // The ids of these, the last ones, are not those of the next.
    if (added === 0) for (let id = count + 1; id <= count + extra.length; id++) writer.removeFile(id)
    // More names with the word, of pictures that are there already.
    for (let i = 0; i < 40; i++, added++) {
      const content = (added % count) + 1
      writer.store.writing(() =>
        putFile(writer.store, { file: { root: 1, path: `later/beach/${added}.jpg`, size: 1, mtime: 1 }, content }),
      )
    }
  }
  const found = await pagesWhile(index, request, add)
  expect(sorted(rowsOf({ hits: found }))).toEqual(Array.from({ length: count }, (_, n) => n))
  expect(found.map(({ position, words, score }) => [position, words, score])).toEqual(
    whole.hits.map(({ position, words, score }) => [position, words, score]),
  )
  // This process does not keep the words of before.
  const later = (await index.search(beach)).hits.filter(({ words }) => words!.score === 1)
  expect([before.length, later.length]).toEqual([10, count])
})

test("a caption that changed is found, and one that is gone is not, by a process that kept its words", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const worded = async (text: string) => {
    const { hits } = await index.search({ terms: [textTerm(text)], limit: count })
    return hits.flatMap(({ position, words }) => (words!.score > 0 ? [position] : []))
  }
  expect([await worded("sunset"), await worded("quoted")]).toEqual([[], [3]])
  const said = { taken: null, latitude: null, longitude: null, caption: "a sunset", keywords: [] }
  writer.store.writing(() => describeContent(writer.store, 4, said))
  expect([await worded("sunset"), await worded("quoted")]).toEqual([[3], []])
})

test("of several files' words those of the best file count", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const names = ["one", "one two three", "three"]
  writer.store.writing(() => {
    for (const name of names)
      putFile(writer.store, { file: { root: 1, path: `${name}.jpg`, size: 1, mtime: 1 }, content: 8 })
  })
  const { hits } = await index.search({ terms: [textTerm("one two three")], limit: count })
  expect(hits.find(({ position }) => position === 7)).toMatchObject({
    words: { matched: ["one", "two", "three"], score: 1 },
  })
})

test("work that fails while another generation takes its place is done again, and fails where none does", async () => {
  const path = small.copy()
  await using index = new FollowedIndex(path, {})
  let tries = 0
  const result = await index.onOneState(async ({ open }) => {
    if (++tries > 1) return open.generation.id
    await migrate(path)
    throw new Error("its files are gone")
  })
  expect([tries, result]).toEqual([2, 2])
  await expect(index.onOneState(() => Promise.reject(new Error("of this state")))).rejects.toThrow("of this state")
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
  let [asked, isDone] = [0, false]
  const nextAnswer = async () => {
    for (const before = asked; asked === before && !isDone; ) await setImmediate()
  }
  const migrations = (async () => {
    for (let turn = 0; turn < 5; turn++) {
      await nextAnswer()
      await migrate(path, turn % 2 === 0)
    }
    isDone = true
  })()
  try {
    do {
      expect(isOne(rowsOf(await index.search({ terms: [textTerm("x")], words: 0, limit: 30 })))).toBe(true)
      asked++
    } while (!isDone)
  } finally {
    isDone = true
  }
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

test("a page whose pictures are taken out between the scan and the look at their rows is asked for again", async () => {
  const path = small.copy()
  await using index = await SearchIndex.open(path)
  const request = { terms: [textTerm("dog")], words: 0, limit: 10 }
  const best = rowsOf(await index.search({ ...request, limit: 13 }))
  using writer = await IndexWriter.open(path, "a test")
  const { readStill } = FollowedIndex.prototype
  let reads = 0
  const spy = vi.spyOn(FollowedIndex.prototype, "readStill").mockImplementation(function (
    this: FollowedIndex,
    ...given
  ) {
    if (++reads === 2)
      for (const row of best.slice(0, 3))
        writer.removeFile(Number(writer.store.row("SELECT id FROM files WHERE content = ?", row + 1)!.id))
    return readStill.apply(this, given)
  })
  onTestFinished(() => spy.mockRestore())
  expect(rowsOf(await index.search(request))).toEqual(best.slice(3))
  expect(reads).toBeGreaterThan(2)
})
