import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { type Addon, addonToBuild, isBuilt } from "./addon.ts"
import { type Build, compileAddon, missingTools } from "./cmake.ts"

const lists = `cmake_minimum_required(VERSION 3.18)
project(x CXX)
add_library(x MODULE src/x.cc)
set_target_properties(x PROPERTIES PREFIX "" SUFFIX .node)`

let folder: string
let addon: Addon
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cmake-"))
  addon = { module: "x", sourceFolder: folder }
  mkdirSync(join(folder, "src"))
  writeFileSync(join(folder, "CMakeLists.txt"), lists)
})
afterEach(() => rmSync(folder, { recursive: true }))

function compile(code: string, stamp: string, more: Partial<Build> = {}): Promise<void> {
  writeFileSync(join(folder, "src/x.cc"), code)
  return compileAddon({ name: "x", addon, target: addonToBuild(addon), definitions: {}, stamp, log: () => {}, ...more })
}

test("what was built stays until its successor is complete and checked; nothing else is left", async () => {
  const target = addonToBuild(addon)
  const lines: string[] = []
  mkdirSync(join(target.folder, "cmake-killed/of/another"), { recursive: true })
  await compile("int one = 1;", "one", { log: (line) => lines.push(line) })
  expect(lines[0]).toMatch(/^x: compiling \d+(\/\d+|%)$/)
  expect(readdirSync(target.folder).sort()).toEqual(["stamp", "x.node"])
  const first = readFileSync(target.file)
  const problem = await compile("int two = ;", "two").catch((error) => error)
  expect(problem).toBeInstanceOf(UserError)
  expect(problem.message).toMatch(/^x does not compile: .*x\.cc:1:11: error/)
  expect(readFileSync(join(target.folder, "build.log"), "utf8")).toContain("x.cc:1:11: error")
  const check = (file: string) => {
    expect(existsSync(file)).toBe(true)
    throw new UserError("linked to another library")
  }
  await expect(compile("int three = 3;", "three", { check })).rejects.toThrow("linked to another library")
  expect(readdirSync(target.folder).sort()).toEqual(["build.log", "stamp", "x.node"])
  expect(readFileSync(target.file)).toEqual(first)
  expect(isBuilt(target, "one")).toBe(true)
  await compile("int four = 4;", "four")
  expect(isBuilt(target, "four")).toBe(true)
  expect(readFileSync(target.file)).not.toEqual(first)
})

test("what compiling needs is named where it is missing", async () => {
  const { PATH, CXX } = process.env
  process.env.PATH = folder
  process.env.CXX = ""
  try {
    expect(missingTools()).toEqual(["cmake", "g++", "make"])
    await expect(compile("int one = 1;", "one")).rejects.toThrow("x cannot be compiled: cmake, g++, make not found")
  } finally {
    process.env.PATH = PATH
    if (CXX === undefined) delete process.env.CXX
    else process.env.CXX = CXX
  }
})
