import { expect, test } from "vitest"
import { hitOf, pageOf } from "../../../test/search-page.ts"
import { resultJson, resultPaths, resultTable } from "./result-lines.ts"

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

test("no match is said before weaker hits, and no pictures alone", () => {
  expect(resultTable(pageOf([], ["/a.jpg"]))).toMatch(
    /^no match: nothing rises .*\nrank .*\n--- weaker matches: 1 ---\n {3}1 /,
  )
  expect(resultTable(pageOf([]))).toBe("no pictures\n")
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

test("paths for a pipe are exact, and without the weaker ones unless they are asked for", () => {
  const page = pageOf(["/a\n\x1b.jpg", "/b.jpg"], ["/c.jpg"])
  expect(resultPaths(page, { end: "\0" })).toBe("/a\n\x1b.jpg\0/b.jpg\0")
  expect(resultPaths(page, { end: "\0", withWeak: true })).toBe("/a\n\x1b.jpg\0/b.jpg\0/c.jpg\0")
  expect(resultPaths(pageOf([], ["/c.jpg"]), { end: "\n" })).toBe("")
})
