import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { trainingConfig } from "../../../../../test/training-samples.ts"
import { rowsOf } from "../../../../benchmark/layout/pack-rows.ts"
import { readOwnPictures } from "../../../../finetune/own-pictures.ts"
import { makeShards } from "../../../make-shards/make-shards.ts"
import { openTrainingData } from "../../training-data.ts"
import { indexList } from "../index-lists.ts"
import { IndexedList } from "./indexed-list.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "list-owners-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

/** A list that is too large for memory, of pictures that are nowhere. */
function writeList(): string {
  const lines = Array.from({ length: 40_000 }, (_, i) => `${i}.jpg,"caption ${i}, ${"of a picture ".repeat(9)}"`)
  writeFileSync(join(folder, "list.csv"), ["filepath,title", ...lines].join("\n"))
  return join(folder, "list.csv")
}

const owners: readonly [string, (source: string) => Promise<unknown>][] = [
  ["training data", (source) => openTrainingData(trainingConfig(source))],
  ["fine-tuning", (source) => readOwnPictures(source)],
  ["packing of data for evaluation", (source) => rowsOf({ source })],
  ["shards", (source) => makeShards({ source, out: join(folder, "shards"), maxFailures: 10 })],
  ["an index", (source) => indexList(source)],
]

test.each(owners)("%s closes the list that it opens, also where that fails", async (_, use) => {
  const source = writeList()
  const closed = vi.spyOn(IndexedList.prototype, "close")
  const opened = await use(source).catch(() => null)
  if (opened && typeof opened === "object" && "close" in opened) await (opened.close as () => Promise<void>)()
  expect(closed).toHaveBeenCalledTimes(1)
  expect(readdirSync(folder)).toContain("list.csv")
})
