import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { openStorage } from "../../data/stores/open.ts"
import { findShards } from "./find-shards.ts"

const parent = mkdtempSync(join(tmpdir(), "find-shards-"))
afterAll(() => rmSync(parent, { recursive: true }))

test("the folder of a job has its records whatever its name is, and pipe: is refused", async () => {
  for (const name of ["out", "out.tar", "out.jsonl"]) {
    const folder = join(parent, name)
    mkdirSync(join(folder, "_done"), { recursive: true })
    writeFileSync(join(folder, "00000.tar"), "")
    writeFileSync(join(folder, "_done", "00000.tar.json"), '{"samples":2}')
    const { folder: found, shards } = await findShards(openStorage(), [folder])
    expect([found, shards]).toEqual([folder, [{ name: "00000.tar", url: join(folder, "00000.tar"), record: { samples: 2 } }]]) // biome-ignore format: a pair
  }
  await expect(findShards(openStorage(), ["pipe:cat x.tar"])).rejects.toThrow("pipe: is not supported")
})
