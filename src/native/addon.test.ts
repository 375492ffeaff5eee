import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type Addon, type AddonFiles, addonToBuild, builtAddon, isBuilt, sourceDigest } from "./addon.ts"

let folder: string
let addon: Addon
let env: NodeJS.ProcessEnv
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "addon-"))
  addon = { module: "x", sourceFolder: join(folder, "package/x") }
  env = { XDG_CACHE_HOME: join(folder, "cache") }
  mkdirSync(join(addon.sourceFolder, "src"), { recursive: true })
  write(join(addon.sourceFolder, "CMakeLists.txt"), "project(x)")
  write(join(addon.sourceFolder, "src/x.cc"), "int x;")
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function build({ file, stampFile }: AddonFiles, stamp: string, seconds: number): void {
  write(file, "an addon")
  write(stampFile, stamp)
  utimesSync(file, seconds, seconds)
}

test("an addon is built in the package, and in the cache of its sources where the package is read-only", () => {
  expect(addonToBuild(addon, env).folder).toBe(join(addon.sourceFolder, "build"))
  const readOnly = () => addonToBuild(addon, env, () => false).folder
  const name = (digest: string) => `x-${process.platform}-${process.arch}-${digest.slice(0, 16)}`
  const before = sourceDigest(addon)
  expect(readOnly()).toBe(join(folder, "cache/mobileclip/addons", name(before)))
  write(join(addon.sourceFolder, "src/room/y.h"), "int z;")
  const withRoom = sourceDigest(addon)
  expect(withRoom).not.toBe(before)
  write(join(addon.sourceFolder, "src/x.cc"), "int y;")
  expect([before, withRoom]).not.toContain(sourceDigest(addon))
  expect(readOnly()).toBe(join(folder, "cache/mobileclip/addons", name(sourceDigest(addon))))
})

test("the newer of two builds is loaded", () => {
  const [inPackage, inCache] = [addonToBuild(addon, env), addonToBuild(addon, env, () => false)]
  expect(builtAddon(addon, env)).toBeNull()
  build(inCache, "a", 1000)
  expect(builtAddon(addon, env)).toEqual(inCache)
  build(inPackage, "b", 2000)
  expect(builtAddon(addon, env)).toEqual(inPackage)
  build(inCache, "c", 3000)
  expect(builtAddon(addon, env)).toEqual(inCache)
})

test("a file without its stamp, or with another one, is not built", () => {
  const target = addonToBuild(addon, env)
  write(target.stampFile, "now")
  expect(isBuilt(target, "now")).toBe(false)
  build(target, "now", 1000)
  expect([isBuilt(target, "now"), isBuilt(target, "then")]).toEqual([true, false])
  rmSync(target.stampFile)
  expect(isBuilt(target, "now")).toBe(false)
})
