/** Lines by an index are the lines that a reader of the whole file finds. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { atOnce } from "../../core/turns.ts"
import { openRandomAccess } from "../../host/files/files.ts"
import { readLines } from "../reinforced/jsonl/lines.ts"
import { indexInMemory, plainShard } from "./shard-index.ts"
import { problemsOf, tablingShard } from "./shard-table.ts"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "shard-table-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Texts of the extents, without what ends a line. */
function indexed(text: string): string[] {
  const path = join(folder, "a.jsonl")
  writeFileSync(path, text)
  using file = openRandomAccess(path)
  const table = atOnce(tablingShard(file, "jsonl-shard"))
  using index = indexInMemory(plainShard(path)!, table)
  return Array.from({ length: index.count }, (_, i) => {
    const [{ start, end }] = index.extents(i) as [{ start: number; end: number }]
    return Buffer.from(file.read(start, end - start))
      .toString()
      .split(/[\r\n]/, 1)[0]!
  })
}

async function streamed(): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of readLines(join(folder, "a.jsonl"), "none")) {
    if (text !== null && text.trim() !== "") lines.push(text.replace(/\r$/, ""))
  }
  return lines
}

const ends = ["\n", "\r\n", "\r", "\n\n", "\n \t\n", "\r\n\r\n", "\n\r"]

test("whatever ends lines, with blank ones between and at the end", async () => {
  const random = new Random(5)
  for (let round = 0; round < 200; round++) {
    const lines = Array.from(
      { length: 1 + random.int(6) },
      (_, i) => `{"id":${i},"text":"${"é".repeat(random.int(4))}"}`,
    )
    const texts = lines.map(
      (line, i) => line + (i === lines.length - 1 && round % 2 ? "" : ends[random.int(ends.length)]!),
    )
    const text = `${round % 3 ? "" : " \n"}${texts.join("")}`
    // A file that begins with blank lines is told as JSONL all the same.
    expect(indexed(text), JSON.stringify(text)).toEqual(lines)
    expect(await streamed()).toEqual(lines)
  }
})

test("lines across the pieces in which a file is read", async () => {
  for (const length of [2 ** 20 - 12, 2 ** 20 - 11, 2 ** 20 - 10, 2 ** 20, 3 * 2 ** 20 + 7]) {
    const long = `{"id":"${"a".repeat(length)}"}`
    for (const end of ["\n", "\r\n"]) {
      expect(indexed([long, '{"id":2}', long].join(end))).toEqual([long, '{"id":2}', long])
    }
  }
})

test("nothing but blank lines holds no samples", () => {
  expect(() => indexed("{\n".replace("{", " "))).toThrow("holds no samples")
})

test("facts of another kind are not taken for problems", () => {
  const problem = { key: null, reason: "cut", action: "dropped" }
  expect(problemsOf({ problems: [problem] })).toEqual([problem])
  expect(problemsOf({ problems: [] })).toEqual([])
  for (const odd of [
    null,
    [],
    {},
    { problems: {} },
    { problems: [{ ...problem, action: "x" }] },
    { problems: [null] },
  ]) {
    expect(problemsOf(odd)).toBe(null)
  }
})
