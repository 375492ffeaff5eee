/** Compiles the kernels (AssemblyScript) into `src/core/kernels/binary.ts`: `node kernels/build.js`, a step of `npm run build`. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { writeGenerated } from "../generated-file.js"

const folder = dirname(fileURLToPath(import.meta.url))
const compilerPackage = createRequire(import.meta.url).resolve("assemblyscript/package.json")
const options = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"]

const done = writeGenerated({
  file: join(folder, "../src/core/kernels/binary.ts"),
  name: "binary",
  from: "kernels/",
  sources: [
    ...readdirSync(folder)
      .sort()
      .map((name) => join(folder, name)),
    compilerPackage,
  ],
  bytes: compile,
})
console.log(`kernels: ${done}`)

/** @returns {Buffer} */
function compile() {
  const temporary = mkdtempSync(join(tmpdir(), "kernels-"))
  try {
    const wasm = join(temporary, "kernels.wasm")
    const compiler = join(dirname(compilerPackage), "bin/asc.js")
    execFileSync(process.execPath, [compiler, join(folder, "index.ts"), "-o", wasm, ...options], { stdio: "inherit" })
    return readFileSync(wasm)
  } finally {
    rmSync(temporary, { recursive: true })
  }
}
