import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { addonToBuild } from "./addon.ts"
import { buildOptionalAddon, isOptionalAddonBuilt, type OptionalAddon } from "./optional-addon.ts"

const lists = `cmake_minimum_required(VERSION 3.18)
project(x CXX)
add_library(x MODULE src/x.cc)
set_target_properties(x PROPERTIES PREFIX "" SUFFIX .node)`
const code = 'extern "C" void* napi_register_module_v1(void*, void* exports) { return exports; }'

let optional: OptionalAddon
let lines: string[]
beforeEach(() => {
  const sourceFolder = mkdtempSync(join(tmpdir(), "optional-addon-"))
  optional = { name: "x addon", addon: { module: "x", sourceFolder }, without: "x will be slow" }
  lines = []
  mkdirSync(join(sourceFolder, "src"))
  writeFileSync(join(sourceFolder, "CMakeLists.txt"), lists)
  writeSource(code)
})
afterEach(() => rmSync(optional.addon.sourceFolder, { recursive: true }))

function writeSource(text: string): void {
  writeFileSync(join(optional.addon.sourceFolder, "src/x.cc"), text)
}

/** Its last line. */
async function build(force = false, compile?: () => Promise<void>): Promise<string | undefined> {
  const settings = { force, log: (line: string) => lines.push(line) }
  await buildOptionalAddon(optional, addonToBuild(optional.addon), settings, compile)
  return lines.at(-1)
}

test("it is built once, again for other sources, and where it is forced", async () => {
  expect(isOptionalAddonBuilt(optional)).toBe(false)
  expect(await build()).toBe("x addon: compiled")
  expect(isOptionalAddonBuilt(optional)).toBe(true)
  expect(await build()).toBe("x addon: up to date")
  expect(await build(true)).toBe("x addon: compiled")
  writeSource(`${code} int more = 1;`)
  expect(isOptionalAddonBuilt(optional)).toBe(false)
  expect(await build()).toBe("x addon: compiled")
})

test("one that does not compile is a line, and leaves nothing that would be loaded", async () => {
  await build()
  writeSource("int x = ;")
  expect(await build()).toMatch(/^x will be slow: x addon does not compile: .*error.* \(the whole output is in .*\)$/)
  expect(() => readFileSync(addonToBuild(optional.addon).file)).toThrow("ENOENT")
  const failure = new UserError("no library", "install it")
  expect(await build(false, () => Promise.reject(failure))).toBe("x will be slow: no library (install it)")
  await expect(build(false, () => Promise.reject(new TypeError("a fault")))).rejects.toThrow(TypeError)
})

test("one that does not load is not built", async () => {
  await build()
  writeFileSync(addonToBuild(optional.addon).file, "not an addon")
  expect(isOptionalAddonBuilt(optional)).toBe(false)
})
