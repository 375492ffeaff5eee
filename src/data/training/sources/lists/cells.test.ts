import { dsvFormat } from "d3-dsv"
import { expect, test } from "vitest"
import { Random } from "../../../../core/arrays/random.ts"
import { Cells } from "./cells.ts"

/** The rows, or null where the last one is a quoted cell that does not end. */
function rowsOf(text: string, separator: string): string[][] | null {
  const cells = new Cells(separator)
  const bytes = Buffer.from(text)
  const rows: string[][] = []
  for (let at = 0; at < bytes.length; ) {
    at = cells.find(bytes, at, true)
    if (at < 0) return null
    rows.push(Array.from({ length: cells.count }, (_, i) => cells.text(i)))
  }
  return rows
}

/** What d3-dsv finds; null where a row that is put after all is not found: a quote takes it in. */
function expectedRows(text: string, separator: string): string[][] | null {
  if (text === "") return []
  const marked = dsvFormat(separator).parseRows(`${text.replace(/\r?\n$/, "")}\nthe${separator}end`)
  return marked.at(-1)!.join() === "the,end" ? marked.slice(0, -1) : null
}

const pieces = ["a", "é", "🦋", " ", '"', '""', '"b"', '"c\nd"', '"e""f"', "\n", "\r\n", ";", ",", "é"]

test.each([",", ";", "é"])("any text has the rows that d3-dsv finds, with %s between cells", (separator) => {
  const random = new Random(1)
  const found = { rows: 0, open: 0 }
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random.int(12) }, () => random.pick(pieces)).join("")
    // A letter of two units ends a cell with its first half there, after a closing quote.
    if (/"🦋/.test(text)) continue
    const expected = expectedRows(text, separator)
    expect(rowsOf(text, separator), JSON.stringify(text)).toEqual(expected)
    found[expected ? "rows" : "open"]++
  }
  expect(found.rows).toBeGreaterThan(5000)
  expect(found.open).toBeGreaterThan(1000)
})

test("the beginning of a row is told from a whole one, wherever it is cut", () => {
  const random = new Random(2)
  for (let round = 0; round < 3000; round++) {
    const text = Array.from({ length: 1 + random.int(12) }, () => random.pick(pieces)).join("")
    const bytes = Buffer.from(text)
    const cells = new Cells(",")
    const end = cells.find(bytes, 0, true)
    const read = () => Array.from({ length: cells.count }, (_, i) => cells.text(i))
    const whole = read()
    for (let length = 0; length < bytes.length; length++) {
      const found = cells.find(bytes.subarray(0, length), 0, false)
      if (found < 0) continue
      expect([found, read()], JSON.stringify([text, length])).toEqual([end, whole])
    }
  }
})

test("rows of many columns, and blank ones", () => {
  const names = Array.from({ length: 1000 }, (_, i) => `column ${i}`)
  expect(rowsOf(`${names.join()}\n`, ",")).toEqual([names])
  const cells = new Cells(",")
  for (const [text, isBlank] of [
    ["\n", true],
    [" ,\u00a0,\t\n", true],
    ['""\n', true],
    [",,\0\n", false],
    ["é,\n", false],
  ] as const) {
    // biome-ignore format: rows
    cells.find(Buffer.from(text), 0, true)
    expect(cells.isBlank(), JSON.stringify(text)).toBe(isBlank)
  }
})

test("a row of very many cells takes bounded memory", () => {
  const cells = new Cells(",")
  const bytes = Buffer.alloc(2 ** 24, ",")
  const before = process.memoryUsage().arrayBuffers
  expect(cells.find(bytes, 0, true)).toBe(bytes.length)
  expect([cells.count, cells.isBlank()]).toEqual([2 ** 24 + 1, false])
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 23)
})
