import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { brute, count, dim, dot, pictures, rowsOf, SmallIndex, stored, textTerm } from "../../../test/small-index.ts"
import { updateBackgroundPictures } from "../calibrate/make-background.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexWriter } from "../store/index-writer.ts"
import type { Filters } from "./filters.ts"

let small: SmallIndex
beforeAll(async () => {
  small = await SmallIndex.make()
})
afterAll(() => small[Symbol.dispose]())

const filterCases: [string, Filters, (n: number) => boolean][] = [
  ["taken", { taken: { from: "2013", until: "2016" } }, (n) => n % 5 !== 0 && n % 10 >= 3 && n % 10 < 6],
  ["a folder, whose name holds a wildcard of LIKE", { folders: [join(pictures, "a_b")] }, (n) => n % 2 === 1],
  ["a folder above the root", { folders: [tmpdir()] }, () => true],
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
