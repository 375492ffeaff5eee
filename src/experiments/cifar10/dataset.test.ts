import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { readShard } from "../../data/shards.ts"
import { classNames } from "./classes.ts"
import { listPictures, writeCarelessShards, writePreciseList } from "./dataset.ts"

const folder = await mkdtemp(join(tmpdir(), "mobileclip-cifar10-data-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Four files of each class, which hold their own names, because nothing decodes them. */
beforeAll(async () => {
  for (const label of classNames) {
    await mkdir(join(folder, "train", label), { recursive: true })
    for (let i = 0; i < 4; i++) await writeFile(join(folder, "train", label, `000${i}.jpg`), `${label} ${i}`)
  }
})

const mix = { named: 1, otherName: 0, wrongName: 0, fileName: 0, boilerplate: 0 }

test("classes come in turn, and skipped pictures are left for others", async () => {
  const train = join(folder, "train")
  const first = await listPictures(train, 15)
  expect(first.map(({ label }) => label)).toEqual([...classNames, ...classNames.slice(0, 5)])
  expect(first.slice(9, 11).map(({ path }) => path)).toEqual([
    join(train, "truck", "0000.jpg"),
    join(train, "airplane", "0001.jpg"),
  ])
  const all = await listPictures(train, Number.POSITIVE_INFINITY)
  expect(all).toHaveLength(40)
  expect([...first, ...(await listPictures(train, 25, 15))]).toEqual(all)
})

test("too few pictures and a missing class are errors", async () => {
  const train = join(folder, "train")
  await expect(listPictures(train, 41)).rejects.toThrow(
    `${join(train, "airplane")} holds 4 pictures, and 5 were expected`,
  )
  await expect(listPictures(join(folder, "test"), 10)).rejects.toThrow(/test.airplane/)
})

test("shards hold the pictures' own bytes, a caption and the truth", async () => {
  const pictures = await listPictures(join(folder, "train"), 12)
  const list = await writeCarelessShards(join(folder, "shards"), pictures, mix, 5)
  expect(list).toBe(join(folder, "shards", "{00000..00000}.tar"))
  const bytes = await readFile(join(folder, "shards", "00000.tar"))
  const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value)
  let i = 0
  for await (const { key, members } of readShard(join(folder, "shards", "00000.tar"))) {
    const { label } = pictures[i]!
    expect([key, text(members.get("jpg"))]).toEqual([String(i).padStart(6, "0"), `${label} ${Math.floor(i / 10)}`])
    expect(JSON.parse(text(members.get("json")))).toEqual({ label, kind: "named" })
    expect(text(members.get("txt"))).toContain(label)
    i += 1
  }
  expect(i).toBe(12)
  await writeCarelessShards(join(folder, "shards"), pictures, mix, 5)
  expect(await readFile(join(folder, "shards", "00000.tar"))).toEqual(bytes)
})

test("the precise list names every picture with all its captions", async () => {
  const pictures = await listPictures(join(folder, "train"), 3)
  const path = join(folder, "precise.jsonl")
  await writePreciseList(path, pictures)
  const lines = (await readFile(path, "utf8")).trim().split("\n")
  expect(lines.map((line) => JSON.parse(line).image)).toEqual(pictures.map((picture) => picture.path))
  expect(JSON.parse(lines[2]!).captions).toContain("a photo of a bird.")
})
