import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
import { findShards } from "./find-shards.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "find-shards-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(path: string, text = ""): void {
  mkdirSync(join(folder, path, ".."), { recursive: true })
  writeFileSync(join(folder, path), text)
}

const hidden = ["._00000.tar", ".ipynb_checkpoints/00000-checkpoint.tar", "deep/.old/3.tar"]

test("hidden names and indexes are passed over in a job's output, among its records as well", async () => {
  for (const path of [...hidden, "_done/.ipynb_checkpoints/00000.tar-checkpoint.json", "_done/._00000.tar.json"]) {
    write(path, "not a record")
  }
  for (const path of ["00000.tar", "00000.tar.index", "00001.tar", "00001.tar.index"]) write(path)
  write("_done/00000.tar.json", JSON.stringify({ samples: 3 }))
  const { shards, unrecorded } = await findShards(openStorage(), [folder])
  expect(shards.map(({ name }) => name)).toEqual(["00000.tar"])
  expect(unrecorded).toEqual(["00001.tar"])
})

test("and beside shards without records", async () => {
  for (const path of [...hidden, "00000.tar"]) write(path)
  const { shards } = await findShards(openStorage(), [folder])
  expect(shards.map(({ name }) => name)).toEqual([join(folder, "00000.tar")])
})

test("the folder of a job has its records whatever its name is, and pipe: is refused", async () => {
  for (const name of ["out", "out.tar", "out.jsonl"]) {
    const output = join(folder, name)
    mkdirSync(join(output, "_done"), { recursive: true })
    writeFileSync(join(output, "00000.tar"), "")
    writeFileSync(join(output, "_done", "00000.tar.json"), '{"samples":2}')
    const { folder: found, shards } = await findShards(openStorage(), [output])
    expect([found, shards]).toEqual([output, [{ name: "00000.tar", url: join(output, "00000.tar"), record: { samples: 2 } }]]) // biome-ignore format: a pair
  }
  await expect(findShards(openStorage(), ["pipe:cat x.tar"])).rejects.toThrow("pipe: is not supported")
})

test("a folder that `mobileclip shards` wrote holds plain shards", async () => {
  for (const path of ["00000.tar", "00001.tar"]) write(path)
  write("_done/00000.json", JSON.stringify({ samples: 3 }))
  write("_done/00001.json", JSON.stringify({ samples: 2 }))
  expect(await findShards(openStorage(), [folder])).toEqual({
    folder: null,
    shards: ["00000.tar", "00001.tar"]
      .map((name) => join(folder, name))
      .map((url) => ({ name: url, url, record: null })),
    unrecorded: [],
  })
})
