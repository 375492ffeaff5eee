/** Thousands of searches leave memory, mappings and open files where they were. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { searchLeaks } from "../../test/leaks.ts"
import { plainPicture } from "../../test/plain-picture.ts"
import { unitRows } from "../../test/vector-file.ts"
import { Random } from "../core/arrays/random.ts"
import { updateCodes } from "./scan/codes.ts"
import { IndexWriter } from "./store/index-writer.ts"
import { vectorOffset } from "./store/vector-file.ts"

const [dim, count] = [256, 4000]
const folder = mkdtempSync(join(tmpdir(), "search-leaks-"))
const index = join(folder, "index")

beforeAll(async () => {
  using writer = await IndexWriter.open(index, "a test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "m", source: "m", identity: "m 1", dim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, '/pictures')")
  const rows = unitRows(new Random(1), count, dim)
  writer.addPictures(
    generation,
    Array.from({ length: count }, (_, n) => plainPicture(n, rows.slice(n * dim, (n + 1) * dim))),
  )
  const [vectors, codes] = [writer.store.vectorsPath(generation), writer.store.codesPath(generation)]
  await updateCodes(vectors, codes, { dim, offset: vectorOffset, count })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([
  // The index keeps its vectors mapped.
  ["queries", 1],
  ["scanner", 0],
] as const)("5000 searches: %s", async (what, mappings) => {
  const { first, last, held } = await searchLeaks(what, index, 100)
  expect(last / first).toBeLessThan(1.1)
  expect(held[1]).toEqual(held[0])
  expect(held[0].mappings).toBe(mappings)
})
