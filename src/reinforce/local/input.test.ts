import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { openStorage } from "../../data/stores/open.ts"
import { fetchInput } from "./input.ts"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "input-"))
  mkdirSync(join(folder, "unmounted"))
  mkdirSync(join(folder, "in"))
  writeFileSync(join(folder, "in", "0.tar"), "")
})
afterAll(() => rmSync(folder, { recursive: true }))

const errorOf = (...names: string[]) =>
  fetchInput(openStorage(), join(folder, ...names)).then(
    () => null,
    (error: unknown) => error,
  )

test("a shard that is missing among others is at fault, a folder that is missing or empty is the machine's", async () => {
  expect(await errorOf("in", "0.tar")).toBe(null)
  const missing = await errorOf("in", "1.tar")
  expect(missing).toBeInstanceOf(UserError)
  expect(missing).not.toBeInstanceOf(EnvironmentError)
  for (const place of ["unmounted", "nowhere"]) {
    const away = await errorOf(place, "0.tar")
    expect(away).toBeInstanceOf(EnvironmentError)
    expect((away as Error).message).toBe(
      `${join(folder, place, "0.tar")}: no such file, and nothing else in its folder`,
    )
  }
})
