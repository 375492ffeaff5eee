import { mkdtemp, open, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { compactZeros, fieldsOfZeros, tarEnd, tarEntry, zstdRuns } from "../../../../test/hostile.ts"
import { UserError } from "../../../core/errors.ts"
import { RandomJsonl } from "./random-jsonl.ts"
import type { RandomShard, SampleLocation } from "./random-shard.ts"
import { RandomTar } from "./random-tar.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "open-shards-"))
})
afterAll(() => rm(folder, { recursive: true }))

async function locationsOf(shard: RandomShard): Promise<Map<string, SampleLocation>> {
  const locations = new Map<string, SampleLocation>()
  for await (const location of shard.locations()) locations.set(location.key, location)
  return locations
}

test("of JSONL, lines that ask for more than a sample may take are passed over or refused one by one", async () => {
  const path = join(folder, "lines.jsonl")
  const hostile = [
    fieldsOfZeros({ count: 40, rows: 256, width: 1024 }),
    `{"uid":"x","text":"${"a".repeat(7e7)}"}`,
    `{"uid":"y","z":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
    JSON.stringify({ uid: "z".repeat(1e6) }),
  ]
  await writeFile(path, ['{"uid":"a","text":"one"}', ...hostile, '{"uid":"c","text":"three"}'].join("\n"))
  await using shard = await RandomJsonl.open(path, "none")
  const locations = await locationsOf(shard)
  expect([...locations.keys()]).toEqual(["a", "b", "c"])
  await expect(shard.read(locations.get("b")!)).rejects.toThrow(UserError)
  expect(await shard.read(locations.get("c")!)).toMatchObject({ key: "c", texts: ["three"] })
})

test("what is compressed to a thousandth is not written out", async () => {
  const path = join(folder, "lines.jsonl.zst")
  await writeFile(path, zstdRuns({ count: 2 ** 14, size: 2 ** 17 }))
  await expect(RandomJsonl.open(path, "zstd")).rejects.toThrow(/^zstd: .* would take \d+ bytes/)
})

test("of a tar, samples that ask for more than they may take, and those that lie too far apart", async () => {
  const path = join(folder, "shard.tar")
  const near = [
    ...["a", "b", "c"].map((key) => tarEntry(`${key}.txt`, `of ${key}`)),
    tarEntry("b.cemb", compactZeros({ count: 100, rows: 1024, width: 4096 })),
    tarEntry("d.jpg", "", "0", 2 ** 29),
  ]
  const file = await open(path, "w")
  for (const entry of near) await file.write(entry)
  const start = Buffer.concat(near).length + 2 ** 29
  await file.write(Buffer.concat([tarEntry("a.url.txt", "of a"), tarEnd]), 0, null, start)
  await file.close()
  await using shard = new RandomTar(path)
  const locations = await locationsOf(shard)
  expect([...locations.keys()].toSorted()).toEqual(["a", "b", "c", "d"])
  const read = (key: string, packed = false) => shard.read(locations.get(key)!, { packed })
  await expect(read("b")).rejects.toThrow(/^cemb: with "\d_emb" it would take/)
  expect(await read("c")).toMatchObject({ key: "c", texts: ["of c"] })
  for (const key of ["a", "d"])
    await expect(read(key)).rejects.toThrow(/^what its members lie in is \d+ long, more than/)
})
