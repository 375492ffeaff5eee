import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { licenseNotice, licenseOf } from "./license.ts"
import { licenses } from "./released.ts"

test("the whole notice comes once for each licence", async () => {
  const folder = mkdtempSync(join(tmpdir(), "license-"))
  try {
    const first = await licenseNotice(licenses["apple-amlr"], "apple/A", join(folder, "own"))
    expect(first.first).toBe(true)
    const lines = first.text.split("\n")
    expect(lines[0]).toBe("licence of apple/A: Apple Machine Learning Research Model License")
    expect(
      lines
        .slice(1, -2)
        .map((line) => line.trim())
        .join(" "),
    ).toBe(licenses["apple-amlr"].notice)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
    expect(lines.at(-2)).toBe(`  full text: ${licenses["apple-amlr"].url}`)
    const second = await licenseNotice(licenses["apple-amlr"], "apple/B", join(folder, "own"))
    expect(second).toEqual({
      text: `licence of apple/B: ${licenses["apple-amlr"].name} (${licenses["apple-amlr"].url})\n`,
      first: false,
    })
    expect((await licenseNotice(licenses.mit, "laion/C", join(folder, "own"))).first).toBe(true)
    expect(JSON.parse(readFileSync(join(folder, "own", "licenses-shown.json"), "utf8"))).toEqual(["apple-amlr", "mit"])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("the notice comes each time where the list cannot be written", async () => {
  for (let i = 0; i < 2; i++)
    expect(await licenseNotice(licenses.mit, "a/b", "/proc/none")).toMatchObject({ first: true })
})

test("the hub's tag takes precedence over the table, and an unknown one leads to the repository's page", () => {
  const release = { name: "", repo: "", file: null, license: "mit", variant: "", contents: "clip" } as const
  expect(licenseOf("apple-amlr", release, "page")).toBe(licenses["apple-amlr"])
  expect(licenseOf(null, release, "page")).toBe(licenses.mit)
  expect(licenseOf("cc-by-nc-4.0", null, "page")).toMatchObject({ id: "cc-by-nc-4.0", url: "page" })
  expect(licenseOf(null, null, "page")).toBeNull()
})
