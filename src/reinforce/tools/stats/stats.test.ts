import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { pictureSamples, writeSamples } from "../../../../test/training-samples.ts"
import { shardStats } from "./stats.ts"

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "stats-"))
  await writeSamples(join(folder, "0.tar"), await pictureSamples(2))
})
afterAll(() => rmSync(folder, { recursive: true }))

test("a contact sheet's folder is made; where it cannot be written, that is said before any shard is read", async () => {
  const file = join(folder, "new", "deep", "sheet.png")
  expect(await shardStats(join(folder, "0.tar"), { contactSheet: { file, rows: 1 } })).toMatchObject({ samples: 2 })
  expect(existsSync(file)).toBe(true)
  mkdirSync(join(folder, "taken"))
  const read: number[] = []
  const stats = shardStats(join(folder, "0.tar"), {
    contactSheet: { file: join(folder, "taken") },
    startProgress: () => ({ update: (done) => read.push(done), done() {} }),
  })
  await expect(stats).rejects.toThrow("taken is a folder, and a file is to be written")
  expect(read).toEqual([])
})
