import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { proveResume } from "./resume.ts"

test.each([
  { reinforced: true, processes: 1 },
  { reinforced: true, processes: 2 },
])("killed and resumed is bitwise what straight is: %o", { timeout: 240_000 }, async (each) => {
  const folder = await mkdtemp(join(tmpdir(), "resume-"))
  try {
    const { killedAfter, straight, resumed, sameLosses } = await proveResume(folder, { ...each, steps: 8 })
    expect(killedAfter).toBeGreaterThanOrEqual(6)
    expect(resumed).toBe(straight)
    expect(sameLosses).toBe(true)
  } finally {
    await rm(folder, { recursive: true })
  }
})
