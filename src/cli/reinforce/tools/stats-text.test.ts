import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tarOf } from "../../../../test/reinforced.ts"
import { shardStats } from "../../../reinforce/tools/stats/stats.ts"
import { statsText } from "./stats-text.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stats-"))
})
afterAll(() => rm(folder, { recursive: true }))

test("a set without a sample has no figures for one; names are as they are", async () => {
  const damaged = join(folder, "00000.tar")
  const latin = Buffer.from("caf\xe9", "latin1")
  await writeFile(damaged, await tarOf([["0.txt", latin], ["1.txt", latin]])) // biome-ignore format: files
  const hidden = join(folder, "._00000.tar")
  await writeFile(hidden, "AppleDouble")
  const report = await shardStats([damaged, hidden])
  expect(report).toMatchObject({
    samples: 0,
    failures: { "txt, line 1 is not UTF-8": 2, [`${hidden} is not a shard`]: 1 },
  })
  const text = statsText(report)
  expect(text).not.toMatch(/Infinity|NaN|undefined/)
  expect(text).toMatch(/^txt +2 +0\.00 MB +-$/m)
  expect(text).toMatch(/^txt, line 1 is not UTF-8 +2$/m)
})

test("reasons that differ in numbers are counted together, under the first of them", async () => {
  const path = join(folder, "lines.jsonl")
  await writeFile(path, '{"uid":"a"}\n{\n{"uid":"b"}\n{\n{"uid":"a"}\n')
  const { failures } = await shardStats(path)
  expect(Object.entries(failures)).toEqual([
    [expect.stringMatching(/^line 2: not JSON/), 2],
    ["line 5: the key occurs twice; the first one stays", 1],
  ])
})

test("lists without a caption", async () => {
  const path = join(folder, "empty.jsonl")
  await writeFile(path, '{"uid":"a","syn_text":[]}\n')
  const report = await shardStats(path)
  expect(report.captions.syn_text).toMatchObject({ samples: 1, tokens: null, cut: 0, empty: 0 })
  expect(statsText(report)).toMatch(/^syn_text +1 +0\.00 +- +- +- +- +0 +0$/m)
})
