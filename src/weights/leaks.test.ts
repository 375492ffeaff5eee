/** The short form of `bench/leaks.ts`: a small model, loaded and disposed of 60 times. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { residentAfter } from "../../test/leaks.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"

test("the last of 60 loads and disposals take no more memory than the first ones, give or take a tenth", async () => {
  const folder = mkdtempSync(join(tmpdir(), "leaks-"))
  try {
    await exportModel(tinyModel(), tinyInfo, join(folder, "model"))
    const { first, last } = await residentAfter(join(folder, "model"), 60)
    expect(last / first).toBeLessThan(1.1)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
