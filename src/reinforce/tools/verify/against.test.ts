import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tarOf } from "../../../../test/reinforced.ts"
import { compareShards } from "./against.ts"

let folder: string
let first: string
let other: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "against-"))
  first = await written("first", { "0.tar": "a cat", "1.tar": "a dog", "2.tar": "a hen" })
  other = await written("other", { "0.tar": "a cat", "1.tar": "a cow", "3.tar": "an owl" })
})
afterAll(() => rm(folder, { recursive: true }))

async function written(name: string, captions: Readonly<Record<string, string>>): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  for (const [shard, caption] of Object.entries(captions)) {
    const files = [
      ["s.txt", caption],
      ["s.json", JSON.stringify({ key: "s" })],
    ] as const
    await writeFile(join(path, shard), await tarOf(files))
  }
  return path
}

test("shards are matched by their names, and the first thing that differs is told", async () => {
  const { identical, differences } = await compareShards(first, other)
  expect(identical).toBe(1)
  expect(differences.map(({ shard, reason }) => [shard.slice(folder.length), reason])).toEqual([
    ["/first/1.tar", 'the captions, number 0: "a dog", and "a cow" there'],
    ["/first/2.tar", "only the first run has it"],
    ["/other/3.tar", "only the other run has it"],
  ])
})

test("an abort ends it before the next shard", async () => {
  const controller = new AbortController()
  const compared: number[] = []
  const startProgress = () => ({
    update(done: number) {
      compared.push(done)
      controller.abort(new Error("enough"))
    },
    done() {},
  })
  await expect(compareShards(first, other, { signal: controller.signal, startProgress })).rejects.toThrow("enough")
  expect(compared).toEqual([1])
})
