import { readdirSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { type Check, checkerFor, NotYet } from "./checks/index.ts"

const directory = fileURLToPath(new URL("golden", import.meta.url))
const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"))

/** Files of which a part waits for a later version of the project. */
const partly: readonly string[] = ["trainstep.json"]

test.each(files.sort())("golden %s", { timeout: 600_000 }, async (name) => {
  const checks: Check[] = []
  const file = path.join(directory, name)
  const checker = checkerFor(file)
  if (checker === "data") return
  try {
    for await (const check of checker(file, "cpu")) checks.push(check)
  } catch (error) {
    if (!(error instanceof NotYet && partly.includes(name))) throw error
  }
  expect(checks.length).toBeGreaterThan(0)
  expect(checks.filter(({ error, tolerance }) => !(error <= tolerance))).toEqual([])
})
