/** Commands that people are told to copy: none of an index is without its folder, by the text of all files that print some. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { indexCommand, repairHint } from "./index-command.ts"

test("a command for an index names its folder, as a shell reads it", () => {
  expect(indexCommand("/my photos", "verify")).toBe("mobileclip index verify --index '/my photos'")
  expect(repairHint("/photos")).toBe("mobileclip index verify --repair --index /photos encodes again what is lost")
})

test("no message of the search names a command without the index's folder", () => {
  const files = ["src/search", "src/cli/search"].flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: "utf8" }).map((name) => join(room, name)),
  )
  const sources = files.filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  expect(sources.length).toBeGreaterThan(100)
  const found = sources.flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter(namesACommand)
      .map((line) => `${path}: ${line.trim()}`),
  )
  expect(found).toEqual([])
})

/** A comment is for nobody to copy, and a string of such words alone is what a lock calls its holder. */
function namesACommand(line: string): boolean {
  const isComment = /^\s*(\/\*\*|\*|\/\/)/.test(line)
  const others = line.replaceAll(/"mobileclip index[ a-z-]*"/g, "")
  return !isComment && /mobileclip (index|search)\b/.test(others) && !line.includes("--index")
}
