/** NOTICE names every package that an installation brings, under the licence that it has. */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

interface Locked {
  readonly license?: string
  readonly dev?: true
  readonly devOptional?: true
}

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const lock = JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages as Readonly<Record<string, Locked>>
const installed = Object.entries(lock).filter(([path, { dev, devOptional }]) => path && !dev && !devOptional)
const licenseIn = (path: string) => JSON.parse(readFileSync(at(`${path}/package.json`), "utf8")).license as string

test("every package that is installed is listed under its licence, and nothing else is", () => {
  const found = new Set(installed.map(([path, { license }]) => `${license}: ${path.split("node_modules/").at(-1)}`))
  expect(found.size).toBeGreaterThan(100)
  expect(new Set(listed())).toEqual(found)
})

test("the licences are those that the packages name themselves", () => {
  const here = installed.filter(([path]) => existsSync(at(path)))
  expect(here.length).toBeGreaterThan(100)
  expect(here.map(([path]) => [path, licenseIn(path)])).toEqual(here.map(([path, { license }]) => [path, license]))
})

/** Below the last paragraph: a licence, and its packages indented. */
function listed(): string[] {
  const sections = readFileSync(at("NOTICE"), "utf8")
    .split(/\n\n(?=.+\n {2}\S)/)
    .slice(1)
  return sections.flatMap((section) => {
    const [license, ...names] = section.trimEnd().split("\n")
    return names.map((name) => `${license}: ${name.trim()}`)
  })
}
