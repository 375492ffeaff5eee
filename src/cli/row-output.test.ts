import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { csvChunks, deliver, jsonChunks, tableChunks, widest } from "./row-output.ts"

async function textOf(chunks: AsyncIterable<string>): Promise<string> {
  let text = ""
  for await (const chunk of chunks) text += chunk
  return text
}

/** Two rows, and then an error. */
async function* broken() {
  yield { a: 1 }
  yield { a: 2 }
  throw new Error("broken")
}

test("JSON: an array with a value on each line, which is closed where the rows end with an error", async () => {
  expect(await textOf(jsonChunks([{ a: 1 }, { a: [2] }]))).toBe('[\n  {"a":1},\n  {"a":[2]}\n]\n')
  expect(await textOf(jsonChunks([]))).toBe("[]\n")
  let text = ""
  const reading = async () => {
    for await (const chunk of jsonChunks(broken())) text += chunk
  }
  await expect(reading()).rejects.toThrow("broken")
  expect(JSON.parse(text)).toEqual([{ a: 1 }, { a: 2 }])
})

test("each row is there before the next one is asked for", async () => {
  const asked: number[] = []
  function* rows() {
    for (const a of [1, 2, 3]) {
      asked.push(a)
      yield { a }
    }
  }
  const chunks = jsonChunks(rows())
  expect([(await chunks.next()).value, asked]).toEqual(['[\n  {"a":1}', [1]])
  expect([(await chunks.next()).value, asked]).toEqual([',\n  {"a":2}', [1, 2]])
})

test("CSV: cells with commas, quotes, breaks or blanks at their ends are quoted", async () => {
  const rows = [
    ["a,b", 'say "c"', "x\ny"],
    [" d", 0.5, "é"],
  ]
  expect(await textOf(csvChunks(["one", "two", "three"], rows))).toBe(
    'one,two,three\n"a,b","say ""c""","x\ny"\n" d",0.5,é\n',
  )
})

test("a table is as wide as what will come, and has no titles without rows", async () => {
  const columns = [
    { title: "file", widest: widest(["a.jpg", "猫猫猫.jpg"]) },
    { title: "n", align: "right", widest: 3 },
  ] as const
  expect(await textOf(tableChunks(columns, [["a.jpg", "1"]]))).toBe("file          n\na.jpg         1\n")
  expect(await textOf(tableChunks(columns, []))).toBe("")
})

test("a file is complete or absent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "row-output-"))
  const out = join(folder, "out.json")
  await expect(deliver(jsonChunks(broken()), out, undefined)).rejects.toThrow("broken")
  expect(readdirSync(folder)).toEqual([])
  await deliver(jsonChunks([{ a: 1 }]), out, undefined)
  expect(readFileSync(out, "utf8")).toBe('[\n  {"a":1}\n]\n')
  rmSync(folder, { recursive: true })
})
