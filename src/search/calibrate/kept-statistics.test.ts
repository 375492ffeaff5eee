import { cpSync } from "node:fs"
import { afterAll, beforeAll, expect, test } from "vitest"
import { dim, SmallIndex, textTerm, vectorOf } from "../../../test/small-index.ts"
import { loadModel } from "../../weights/load-model.ts"
import { SearchIndex } from "../search-index.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { compactIndex } from "../upkeep/compact.ts"
import type { Background } from "./background.ts"
import { statisticsOfText, statisticsText } from "./kept-statistics.ts"
import { addBackgroundPrompts, statisticsKey, updateBackgroundPictures } from "./make-background.ts"
import { statisticsOf } from "./statistics.ts"

let small: SmallIndex
/** With captions of the background by the index's model, so that a text has a divider. */
let calibrated: string
let copies = 0
beforeAll(async () => {
  small = await SmallIndex.make()
  calibrated = small.copy()
  await using model = await loadModel(small.model, { cache: false })
  using writer = await IndexWriter.open(calibrated, "a test")
  await addBackgroundPrompts(writer, writer.active!, (texts) => model.encodeTexts(texts))
  await updateBackgroundPictures(writer, writer.active!)
})
afterAll(() => small[Symbol.dispose]())

const rows = (from: number, count: number) =>
  Float32Array.from(Array.from({ length: count }, (_, i) => [...vectorOf(from + i)]).flat())
const background: Background = { dim, prompts: rows(1000, 40), pictures: rows(0, 100) }

test("statistics are read as they were computed", () => {
  const text = statisticsText(background, "3 1")
  expect(statisticsOfText(text, "3 1", dim)).toEqual({
    prompts: statisticsOf(background, "prompts"),
    pictures: statisticsOf(background, "pictures"),
  })
  // Too few pictures to be queries.
  const few = { ...background, pictures: rows(0, 3) }
  expect(statisticsOfText(statisticsText(few, "4 1"), "4 1", dim)).toEqual({
    prompts: statisticsOf(few, "prompts"),
    pictures: null,
  })
})

test("those of another state, of no text, or with a number that is not finite, are not taken", () => {
  const text = statisticsText(background, "3 1")
  expect(statisticsOfText(text, "4 1", dim)).toBe(null)
  expect(statisticsOfText(text, "3 1", dim + 1)).toBe(null)
  expect(statisticsOfText(text.replace('"version":1', '"version":2'), "3 1", dim)).toBe(null)
  for (const broken of [null, "", "{", "[]"]) expect(statisticsOfText(broken, "3 1", dim)).toBe(null)
  expect(statisticsOfText(text.replace(/"querySpread":[^,]+/, '"querySpread":null'), "3 1", dim)).toBe(null)
})

function copy(): string {
  const path = `${calibrated}-${copies++}`
  cpSync(calibrated, path, { recursive: true })
  return path
}

async function scoresIn(path: string): Promise<unknown> {
  await using index = await SearchIndex.open(path)
  const { hits, explanation } = await index.search({ terms: [textTerm("a dog")], limit: 50, explain: true })
  return [explanation!.threshold, hits.map(({ paths, z, verdict }) => [paths, z, verdict])]
}

async function change(path: string, sql: string): Promise<void> {
  using writer = await IndexWriter.open(path, "a test")
  writer.store.run(sql)
}

test("an index's scores are the same with them and without, are taken from them, and follow its pictures", async () => {
  const path = copy()
  const kept = await scoresIn(path)
  await change(
    path,
    `UPDATE meta SET value = replace(value, '"pictureSpread":', '"pictureSpread":9') WHERE key LIKE 'statistics %'`,
  )
  expect(await scoresIn(path)).not.toEqual(kept)
  await change(path, "DELETE FROM meta WHERE key LIKE 'statistics %'")
  expect(await scoresIn(path)).toEqual(kept)
  const writer = await IndexWriter.open(path, "a test")
  for (let file = 1; file <= 50; file++) writer.removeFile(file)
  await updateBackgroundPictures(writer, writer.active!)
  writer[Symbol.dispose]()
  const fewer = await scoresIn(path)
  await change(path, "DELETE FROM meta WHERE key LIKE 'statistics %'")
  expect(await scoresIn(path)).toEqual(fewer)
})

test("they go with a compaction", async () => {
  const path = copy()
  const before = await keptText(path)
  const writer = await IndexWriter.open(path, "a test")
  writer.removeFile(1)
  writer[Symbol.dispose]()
  await compactIndex(path)
  expect([before.length > 1000, await keptText(path)]).toEqual([true, before])
})

async function keptText(path: string): Promise<string> {
  using writer = await IndexWriter.open(path, "a test")
  return writer.store.meta(statisticsKey(writer.active!))!
}
