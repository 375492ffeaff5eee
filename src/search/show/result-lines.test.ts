import { expect, test } from "vitest"
import { hitOf, pageOf, undividedPage } from "../../../test/search-page.ts"
import type { CheckedPage } from "./hit-files.ts"
import { resultJson, resultPaths, type TableOptions, tableLines } from "./result-lines.ts"

function resultTable(page: CheckedPage, options: TableOptions = {}): string {
  return tableLines(page, options)
    .map(({ text }) => `${text}\n`)
    .join("")
}

test("a table has its weaker matches after a divider", () => {
  expect(resultTable(pageOf(["/p/a.jpg", "/p/sub/b.jpg"], ["/q/c.jpg"]), { folder: "/p" })).toBe(
    [
      "rank  cosine      z         path",
      "   1   0.313    6.3  match  a.jpg",
      "   2   0.312    6.3  match  sub/b.jpg",
      "--- weaker matches: 1 ---",
      "   3   0.186    1.5  weak   /q/c.jpg",
      "",
    ].join("\n"),
  )
})

test("what is hidden is said", () => {
  const weak = Array.from({ length: 5 }, (_, i) => `/w${i}.jpg`)
  const some = resultTable(pageOf(["/a.jpg"], weak), { mostWeak: 2 })
  expect(some).toContain("--- weaker matches: 5, 3 of them hidden ---\n   2")
  expect(some.split("\n")).toHaveLength(6)
  expect(resultTable(pageOf(["/a.jpg"], weak), { mostWeak: 0 })).toMatch(/--- weaker matches: 5, hidden ---\n$/)
})

test("no match is said before weaker hits", () => {
  expect(resultTable(pageOf([], ["/a.jpg"]))).toMatch(
    /^no match: nothing rises .*\nrank .*\n--- weaker matches: 1 ---\n {3}1 /,
  )
})

test("where nothing was found a line says why", () => {
  const none = pageOf([])
  expect(resultTable({ ...none, pictures: 0, searched: 0 })).toBe("no pictures: the index has none yet\n")
  expect(resultTable({ ...none, searched: 0, filtered: 0 })).toBe(
    "no pictures: the filters leave none of the index's 1,000\n",
  )
  expect(resultTable({ ...none, pictures: 1, searched: 0 })).toBe("no other pictures\n")
  // Weaker ones were left out.
  expect(resultTable({ ...none, filtered: 7 })).toMatch(/^no match: nothing rises above .*\n$/)
})

test("without a divider no hit is called a match, in the table, JSON and paths", () => {
  const page = undividedPage(["/a.jpg", "/b.jpg"])
  expect(resultTable(page)).toBe(
    ["rank  cosine      z  path", "   1   0.313    6.3  /a.jpg", "   2   0.312    6.3  /b.jpg", ""].join("\n"),
  )
  expect(JSON.parse(resultJson(page))).toMatchObject({ matches: null, hits: [{ verdict: null }, { verdict: null }] })
  expect(resultPaths(page, "\0")).toBe("/a.jpg\0/b.jpg\0")
})

test("copies that are gone are said, and a hit without a file is marked", () => {
  const paths = ["/a.jpg", "/b.jpg", "/c.jpg"]
  const lineWith = (missing: string[]) =>
    resultTable({ ...pageOf([]), matches: 1, hits: [{ ...hitOf("/a.jpg", 0), paths, missing }] })
      .split("\n")[1]!
      .split("match  ")[1]
  expect([[], ["/c.jpg"], ["/b.jpg", "/c.jpg"], paths].map(lineWith)).toEqual([
    "/a.jpg  (2 copies)",
    "/a.jpg  (1 copy; 1 copy is missing)",
    "/a.jpg  (2 copies are missing)",
    "/a.jpg  (2 copies)  [missing]",
  ])
})

test("what rounds to zero has no sign", () => {
  const hits = [{ ...hitOf("/a.jpg", 0), cosine: -0.0004, z: -0.04 }]
  expect(resultTable({ ...pageOf([]), hits, matches: 1 })).toContain("   1   0.000    0.0  match  /a.jpg")
})

test("words, copies, and names that would steer a terminal", () => {
  const words = { score: 0.5, matched: ["beach", "\x1b[2J"] }
  const hit = { ...hitOf("/\x1b]0;x\x07\u202e.jpg", 9), words, paths: ["/\x1b]0;x\x07\u202e.jpg", "/b", "/c"], z: null }
  const table = resultTable({ ...pageOf([]), hits: [hit], matches: 1 })
  expect(table).toBe(
    [
      "rank  cosine   words   score         path",
      "  10   0.304   0.500   0.304  match  /\\x1b]0;x\\x07\\u202e.jpg  (2 copies; words: beach, \\x1b[2J)",
      "",
    ].join("\n"),
  )
})

test("JSON is one value with a line for each hit", () => {
  const page = pageOf(["/a\n.jpg"], ["/b.jpg"])
  const hits = page.hits.map((hit) => ({ ...hit, cosine: hit.cosine + 1e-9, score: 1 / 3, z: 2 / 3 }))
  const text = resultJson({ ...page, hits, cursor: "abc" }, '"beach"')
  expect(JSON.parse(text)).toEqual({
    ...{ ...page, query: '"beach"', cursor: "abc" },
    hits: page.hits.map((hit) => ({
      ...hit,
      score: 0.3333333,
      z: 0.6666667,
      cosine: Number(hit.cosine.toPrecision(7)),
    })),
  })
  expect(text.split("\n").filter((line) => line.includes('"rank"'))).toHaveLength(2)
  expect(JSON.parse(resultJson(pageOf([])))).toEqual(pageOf([]))
})

test("paths for a pipe are exact, and without the weaker ones", () => {
  const page = pageOf(["/a\n\x1b.jpg", "/b.jpg"], ["/c.jpg"])
  expect(resultPaths(page, "\0")).toBe("/a\n\x1b.jpg\0/b.jpg\0")
  expect(resultPaths(pageOf([], ["/c.jpg"]), "\n")).toBe("")
})
