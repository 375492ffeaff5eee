import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { findLibtorch } from "./find.ts"

const suffix = process.platform === "darwin" ? "dylib" : "so"
let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "libtorch-"))
})

afterEach(() => rmSync(root, { recursive: true }))

function write(path: string, content = ""): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

function writeLibraries(lib: string, symbol = ""): void {
  write(`${lib}/libtorch_cpu.${suffix}`)
  write(`${lib}/libc10.${suffix}`, symbol)
}

function writeHeaders(version: string, file = "torch/csrc/api/include/torch/version.h"): void {
  write("include/ATen/core/Tensor.h")
  write("include/torch/csrc/api/include/torch/version.h")
  write(`include/${file}`, version)
}

const find = () => findLibtorch({ LIBTORCH: root })

describe("LIBTORCH", () => {
  test("an unpacked libtorch", () => {
    writeLibraries("lib", "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_string")
    writeHeaders('#define TORCH_VERSION \\\n  "2.13.0"\n', "torch/headeronly/version.h")
    expect(find()).toEqual({
      origin: "LIBTORCH",
      lib: join(root, "lib"),
      includes: [join(root, "include"), join(root, "include/torch/csrc/api/include")],
      version: "2.13.0",
      cuda: false,
      cxx11Abi: true,
    })
  })

  test("libraries in a multiarch folder, with CUDA", () => {
    writeLibraries("lib/x86_64-linux-gnu")
    write(`lib/x86_64-linux-gnu/libtorch_cuda.${suffix}`)
    writeHeaders('#define TORCH_VERSION "1.13.0"')
    expect(find()).toMatchObject({ lib: join(root, "lib/x86_64-linux-gnu"), version: "1.13.0", cuda: true })
  })

  test.runIf(process.platform === "linux")("the old string ABI of wheels is seen in the library", () => {
    writeLibraries("lib", "\0_ZN3c105ErrorC2ENS_14SourceLocationESs\0")
    writeHeaders('#define TORCH_VERSION "2.1.0"')
    expect(find()).toMatchObject({ cxx11Abi: false })
  })

  test.each<[string, () => void, string]>([
    ["a folder that does not exist", () => rmSync(root, { recursive: true }), "it does not exist"],
    ["a folder without libraries", () => writeHeaders(""), `it has no lib/libtorch_cpu.${suffix}`],
    ["a folder without headers", () => writeLibraries("lib"), "it has no include/ATen and torch/version.h"],
  ])("%s is an error, not ignored", (_, prepare, message) => {
    prepare()
    expect(find).toThrow(`LIBTORCH=${root} is not a libtorch: ${message}`)
    mkdirSync(root, { recursive: true })
  })

  test("headers that do not tell a version are an error", () => {
    writeLibraries("lib")
    writeHeaders("")
    expect(find).toThrow("does not tell libtorch's version")
  })
})

test.each([{}, { LIBTORCH: "" }])("without LIBTORCH, the machine is searched", (env) => {
  expect(findLibtorch(env)?.origin).not.toBe("LIBTORCH")
})
