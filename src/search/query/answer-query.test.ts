import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import {
  brute,
  count,
  dim,
  dot,
  pictureOf,
  pictures,
  rowsOf,
  SmallIndex,
  stored,
  textTerm,
} from "../../../test/small-index.ts"
import { loadModel } from "../../weights/load-model.ts"
import { makeBackground, updateBackgroundPictures } from "../calibrate/make-background.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { describeContent } from "../store/picture-rows.ts"
import type { Filters } from "./filters.ts"
import type { SearchPage } from "./search-page.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

const filterCases: [string, Filters, (n: number) => boolean][] = [
  ["taken", { taken: { from: "2013", until: "2016" } }, (n) => n % 5 !== 0 && n % 10 >= 3 && n % 10 < 6],
  ["a folder, whose name holds a wildcard of LIKE", { folders: [join(pictures, "a_b")] }, (n) => n % 2 === 1],
  ["a folder above the root", { folders: [tmpdir()] }, () => true],
  ["the root of all folders", { folders: [resolve("/")] }, () => true],
  ["a folder with a name that begins as the root's", { folders: [pictures.slice(0, -1)] }, () => false],
  ["the root", { folders: [pictures] }, () => true],
  ["a folder below", { folders: [join(pictures, "ab/winter/beach"), "/elsewhere"] }, (n) => n % 2 === 0 && n < 10],
  ["names", { names: ["img_1?.jpg", "img_7.*"] }, (n) => (n >= 10 && n < 20) || n === 7],
  ["pixels", { sizes: [{ than: "larger", unit: "pixels", pixels: 60_000 }] }, (n) => n % 3 !== 1],
  ["bytes", { sizes: [{ than: "smaller", unit: "bytes", bytes: 50_000 }] }, (n) => n < 49],
  ["sides", { sizes: [{ than: "larger", unit: "sides", longer: 300, shorter: 200 }] }, (n) => n % 3 !== 1],
  ["shapes", { shapes: ["landscape", "square"] }, (n) => n % 3 !== 2],
  ["a camera", { cameras: ["pixel"] }, (n) => n % 2 === 0],
  ["formats", { formats: ["png"] }, (n) => n % 4 === 0],
  // A degree of latitude has 111 km.
  ["a place", { near: { latitude: 10, longitude: 20, kilometers: 130 } }, (n) => n === 39 || n === 41],
  ["two of them", { formats: ["png"], shapes: ["portrait"] }, (n) => n % 4 === 0 && n % 3 === 2],
]

test.each(filterCases)("filter by %s", async (_, filters, isIn) => {
  await using index = await SearchIndex.open(small.path)
  const query = await small.textVector("x")
  const expected = brute(query, isIn)
  for (let twice = 0; twice < 2; twice++) {
    const page = await index.search({ terms: [textTerm("x")], filters, limit: count, words: 0 })
    expect([rowsOf(page).sort((a, b) => a - b), page.filtered]).toEqual([
      expected.sort((a, b) => a - b),
      expected.length,
    ])
  }
})

test("a date that is read again of a file beside the picture counts at once in an open process", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const filters = { taken: { from: "2040", until: null } }
  const ask = async () => rowsOf(await index.search({ terms: [textTerm("x")], filters }))
  expect(await ask()).toEqual([])
  const said = { taken: "2041-01-01T00:00:00", latitude: null, longitude: null, caption: null, keywords: [] }
  writer.store.writing(() => describeContent(writer.store, 4, said))
  expect(await ask()).toEqual([3])
})

test("words: the share of the query's words by their idf times the weight, by hand", async () => {
  await using index = await SearchIndex.open(small.path)
  const page = await index.search({ terms: [textTerm("beach winter")], limit: count, words: 20, explain: true })
  // This index has too few pictures to know a deviation: 20 times the usual 0.025.
  expect(page.explanation!.wordWeight).toBe(0.5)
  // 10 paths say beach, 100 say winter, of 200; idf = ln(1 + (N - n + 0.5) / (n + 0.5)).
  const [beach, winter] = [Math.log(1 + 190.5 / 10.5), Math.log(1 + 100.5 / 100.5)]
  const share = (n: number) => ((n < 10 ? beach : 0) + (n % 2 === 0 ? winter : 0)) / (beach + winter)
  for (const { position, cosine, score, words } of page.hits) {
    expect(words!.score).toBeCloseTo(share(position), 10)
    // Scores are float32.
    expect(score).toBeCloseTo(cosine + 0.5 * share(position), 6)
  }
  const query = await small.textVector("beach winter")
  const expected = stored
    .map((row, n) => ({ n, score: dot(query, row) + 0.5 * share(n) }))
    .sort((x, y) => y.score - x.score)
  expect(rowsOf(page)).toEqual(expected.map(({ n }) => n))
  expect(page.explanation!.hits.map(({ terms }) => terms[0]!.cosine)).toEqual(page.hits.map(({ cosine }) => cosine))
})

test.each(['"quoted"', "quoted* OR NEAR(a b)", "海辺", "dog) AND (", "path: dog", "-quoted", 'dog"'])(
  "words of the query are never operators: %s",
  async (value) => {
    await using index = await SearchIndex.open(small.path)
    const page = await index.search({ terms: [textTerm(value)], words: 1, limit: count })
    expect(page.hits.find(({ position }) => position === 3)!.words!.score).toBeGreaterThan(0)
  },
)

test.each(["🐕", "...", "''"])("a query without a word: %s", async (value) => {
  await using index = await SearchIndex.open(small.path)
  expect((await index.search({ terms: [textTerm(value)], words: 1 })).hits.every(({ words }) => words === null)).toBe(
    true,
  )
})

test("rows of NaN and contents without a file are never hits", async () => {
  const path = small.copy()
  const writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const query = await small.textVector("x")
  const [first, second] = brute(query)
  expect(rowsOf(await index.search({ terms: [textTerm("x")], words: 0 })).slice(0, 2)).toEqual([first, second])
  writer.removeFile(first! + 1)
  writer.setVectors(writer.active!, second!, new Float32Array(dim).fill(Number.NaN))
  for (const filters of [
    {},
    { folders: [pictures] },
    { sizes: [{ than: "larger", unit: "bytes", bytes: 1 }] },
  ] as const) {
    const rows = rowsOf(await index.search({ terms: [textTerm("x")], filters, words: 0, limit: count }))
    expect(rows).toEqual(brute(query, (n) => n !== first && n !== second))
  }
  writer[Symbol.dispose]()
})

test("a page says of how many pictures, and what filters left", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  writer.removeFile(1)
  await using index = await SearchIndex.open(path)
  const numbers = async (filters: Filters) => {
    const page = await index.search({ terms: [textTerm("x")], filters, limit: 1 })
    return [page.pictures, page.searched, page.filtered, page.hits.length]
  }
  expect(await numbers({})).toEqual([count - 1, count - 1, null, 1])
  expect(await numbers({ names: ["img_1?.jpg"] })).toEqual([count - 1, 10, 10, 1])
  expect(await numbers({ cameras: ["none has this one"] })).toEqual([count - 1, 0, 0, 0])
})

test("a query that is a picture has no divider, and none of its hits is called a match", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await updateBackgroundPictures(writer, writer.active!)
  await using index = await SearchIndex.open(path)
  const picture = join(pictures, "ab/winter/beach/IMG_4.jpg")
  const { hits, matches, notes, explanation } = await index.similar(picture, { onlyMatches: true, explain: true })
  expect([matches, new Set(hits.map(({ verdict }) => verdict)), hits.length]).toEqual([null, new Set([null]), 20])
  expect(hits.every(({ z }) => z !== null)).toBe(true)
  expect(notes).toEqual(["nothing says which of these are matches, so none was left out"])
  expect([explanation!.threshold, explanation!.text]).toEqual([null, expect.stringMatching(/have no divider/)])
  const all = await index.searchAll({ terms: [{ kind: "like", weight: 1, path: picture }] })
  expect([all.matches, all.hits.length]).toEqual([null, count - 1])
  const strict = await index.similar(picture, { strictness: 1 })
  expect(strict.matches).toBe(strict.hits.filter(({ verdict }) => verdict === "match").length)
  expect(strict.hits.every(({ verdict }) => verdict !== null)).toBe(true)
})

/** With a background: captions as the model encodes them, and the index's pictures. */
async function judgedIndex(): Promise<string> {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using model = await loadModel(small.model, { cache: false })
  await makeBackground(writer, writer.active!, (texts) => model.encodeTexts(texts))
  return path
}

/** A request whose divider lies between the z of two hits: the first by score is weak, one lower down is a match. */
async function weakFirst(index: SearchIndex) {
  for (const text of ["red car", "dog", "a house", "winter", "sea"]) {
    const request = { terms: [textTerm(text)], words: 0, limit: count, explain: true }
    const [low, high] = [
      await index.search({ ...request, strictness: 0 }),
      await index.search({ ...request, strictness: 1 }),
    ]
    const [t0, t1] = [low, high].map(({ explanation }) => explanation!.threshold!) as [number, number]
    const byScore = low.hits.toSorted((a, b) => b.score - a.score || a.position - b.position)
    const first = byScore[0]!.z!
    const better = byScore.filter(({ z }) => z! > first)
    const divider = (first + Math.min(...better.map(({ z }) => z!))) / 2
    if (better.length > 0)
      return { request: { ...request, explain: false, strictness: (divider - t0) / (t1 - t0) }, better }
  }
  throw new Error("no text whose best picture is not the most unusual one")
}

test("where the first page has no match, it says how many lie further down", async () => {
  await using index = await SearchIndex.open(await judgedIndex())
  const { request, better } = await weakFirst(index)
  const whole = await index.search(request)
  expect([whole.matches, whole.matchesBelow]).toEqual([better.length, null])
  const page = await index.search({ ...request, limit: 1 })
  expect([page.matches, page.matchesBelow]).toEqual([0, better.length])
  expect((await index.search({ ...request, limit: 1, onlyMatches: true })).matchesBelow).toBe(better.length)
  expect((await index.search({ ...request, limit: 1, strictness: 100 })).matchesBelow).toBe(0)
  expect((await index.search({ ...request, strictness: 100 })).matchesBelow).toBe(0)
  const further = await index.search({ ...request, limit: 1, strictness: 100, cursor: page.cursor })
  expect([further.matches, further.matchesBelow]).toEqual([0, null])
})

test("all pages as one: matches before weaker hits, and one sum of those that were left out", async () => {
  await using index = await SearchIndex.open(await judgedIndex())
  const { request, better } = await weakFirst(index)
  const all = await index.searchAll({ ...request, limit: 7 })
  const places = all.hits.flatMap(({ verdict }, i) => (verdict === "match" ? [i] : []))
  expect(places).toEqual(better.map((_, i) => i))
  const only = await index.searchAll({ ...request, limit: 7, onlyMatches: true })
  expect([only.hits.length, only.matches, only.leftOut]).toEqual([better.length, better.length, count - better.length])
  expect(only.notes).toEqual([`${count - better.length} weaker left out`])
})

test("a text that is longer than a model reads is said to be cut", async () => {
  await using index = await SearchIndex.open(small.path)
  const ask = async (words: number) => {
    const { notes } = await index.search({ terms: [textTerm("cat ".repeat(words))], words: 0 })
    return notes
  }
  expect(await ask(75)).toEqual([])
  expect(await ask(76)).toEqual([expect.stringMatching(/^a text of 78 tokens is more than the 77 that a model reads/)])
})

test("words count for a match, and z is that of the score", async () => {
  await using index = await SearchIndex.open(await judgedIndex())
  const caption = (page: SearchPage) => page.hits.find(({ position }) => position === 3)!
  const ask = { terms: [textTerm("quoted")], limit: count, explain: true }
  const [without, [low, high]] = [
    caption(await index.search({ ...ask, words: 0 })),
    await Promise.all([0, 1].map((strictness) => index.search({ ...ask, strictness }))),
  ]
  const [t0, t1] = [low!, high!].map(({ explanation }) => explanation!.threshold!) as [number, number]
  const worded = caption(low!)
  expect(worded.z!).toBeGreaterThan(without.z! + 1)
  const strictness = ((without.z! + worded.z!) / 2 - t0) / (t1 - t0)
  expect(caption(await index.search({ ...ask, strictness, words: 0 })).verdict).toBe("weak")
  const page = await index.search({ ...ask, strictness })
  expect(caption(page)).toMatchObject({
    verdict: "match",
    rank: 1,
    z: worded.z,
    words: { score: 1, matched: ["quoted"] },
  })
  const { cosineZ, z, text } = page.explanation!.hits[0]!
  expect([z, cosineZ]).toEqual([worded.z, expect.closeTo(without.z!, 5)])
  expect(text).toMatch(/; with its words z is -?\d+\.\d: a match\.$/)
})

test("filters alone list the newest first, page by page, those without a date last", async () => {
  const path = small.copy()
  using writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const filters = { formats: ["png"] }
  const taken = (n: number) => (n % 5 === 0 ? "" : String(n % 10))
  const rows = Array.from({ length: count }, (_, n) => n).filter((n) => n % 4 === 0)
  const expected = rows.sort((a, b) => (taken(a) === taken(b) ? b - a : taken(a) < taken(b) ? 1 : -1))
  const found: number[] = []
  let cursor: string | null = null
  do {
    const page: SearchPage = await index.search({ terms: [], filters, limit: 7, cursor })
    expect([page.filtered, page.matches, page.hits[0]!.z]).toEqual([count / 4, null, null])
    found.push(...rowsOf(page))
    cursor = page.cursor
    writer.addPictures(writer.active!, [
      pictureOf(4 * writer.store.count, { taken: "2030-01-01T00:00:00", format: "png" }),
    ])
  } while (cursor !== null)
  expect(found).toEqual(expected)
  const { hits } = await index.searchAll({ terms: [], filters, limit: 50 })
  expect(hits.slice(0, 8).every((hit) => hit.taken === "2030-01-01T00:00:00")).toBe(true)
  await expect(index.search({ terms: [], filters: {} })).rejects.toThrow("the query is empty")
})
