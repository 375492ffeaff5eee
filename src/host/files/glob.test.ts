import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, posix, relative, win32 } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { expandGlob, isGlob, split } from "./glob.ts"

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "glob-"))
  for (const name of ["a/b/c", "a/.hidden", "d"]) mkdirSync(join(folder, name), { recursive: true })
  for (const name of ["1.jpg", "2.JPG", "a/1.jpg", "a/x1.png", "a/b/2.jpg", "a/b/c/3.jpg", "a/.hidden/4.jpg", "a/.5.jpg", "d/[x].jpg", "d/a.b+c.jpg"]) // biome-ignore format: a list
    writeFileSync(join(folder, name), "")
  symlinkSync(join(folder, "a"), join(folder, "d", "link"))
})
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ["*.jpg", ["1.jpg"]],
  ["?.{jpg,JPG}", ["1.jpg", "2.JPG"]],
  ["[1-9].*", ["1.jpg", "2.JPG"]],
  ["[!1].*", ["2.JPG"]],
  ["a/*", ["a/1.jpg", "a/b", "a/x1.png"]],
  ["a/.*.jpg", ["a/.5.jpg"]],
  ["*/1.jpg", ["a/1.jpg"]],
  ["a/*/*.jpg", ["a/b/2.jpg"]],
  ["**/*.jpg", ["1.jpg", "a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg", "d/[x].jpg", "d/a.b+c.jpg"]],
  ["a/**/3.jpg", ["a/b/c/3.jpg"]],
  ["a/**", ["a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg", "a/x1.png"]],
  ["d/a.b+*", ["d/a.b+c.jpg"]],
  ["d/li*/1.jpg", ["d/link/1.jpg"]],
  ["**/{1,3}.jpg", ["1.jpg", "a/1.jpg", "a/b/c/3.jpg"]],
])("%s", async (pattern, expected) => {
  expect((await expandGlob(join(folder, pattern))).map((path) => relative(folder, path))).toEqual(expected)
})

test("parts of patterns on Windows, where a path may have a drive and either slash", () => {
  const parts = ["photos", "**", "*.jpg"]
  expect(split("photos\\**/*.jpg", win32)).toEqual({ root: "", parts })
  expect(split("C:\\photos\\**\\*.jpg", win32)).toEqual({ root: "C:\\", parts })
  expect(split("/photos//**/*.jpg", posix)).toEqual({ root: "/", parts })
  expect(split("a\\*.jpg", posix)).toEqual({ root: "", parts: ["a\\*.jpg"] })
})

test("a file that is there is itself, whatever its name; a pattern that matches nothing is an error", async () => {
  expect(isGlob(join(folder, "d/[x].jpg"))).toBe(false)
  expect(isGlob(join(folder, "d/[y].jpg"))).toBe(true)
  expect(isGlob("a.jpg")).toBe(false)
  await expect(expandGlob(join(folder, "*.webp"))).rejects.toThrow(/\*\.webp matches no file$/)
  await expect(expandGlob(join(folder, "none/*.jpg"))).rejects.toThrow(/matches no file$/)
})
