import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { writeCheckpoint } from "../../test/tiny-model.ts"
import { exportedDirectory } from "./exported-directory.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "exported-directory-"))
  vi.stubEnv("XDG_CACHE_HOME", folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test("first calls at the same time export once, and all get the directory that stays", async () => {
  const path = join(folder, "model.safetensors")
  writeCheckpoint(path)
  const stages: string[] = []
  const call = async () => {
    const directory = await exportedDirectory(
      { name: "tiny", path, variant: null },
      { onStage: (text) => stages.push(text) },
    )
    return { directory, inode: statSync(directory).ino }
  }
  const [one, two, three] = await Promise.all([call(), call(), call()])
  expect(stages).toHaveLength(1)
  expect([two, three]).toEqual([one, one])
  expect(await call()).toEqual(one)
  expect(readdirSync(dirname(one.directory))).toHaveLength(1)
}, 120_000)
