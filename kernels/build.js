/**
 * Compiles the kernels (AssemblyScript) into `src/core/kernels/binary.ts`: `node kernels/build.js`, the first step of
 * `npm run build`. Plain JavaScript, because what TypeScript compiles imports the result.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const folder = dirname(fileURLToPath(import.meta.url))
const binaryFile = join(folder, "../src/core/kernels/binary.ts")
const options = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"]

const stamp = `// Compiled from kernels/ (${fingerprint()}); not to be edited.`
if (existsSync(binaryFile) && readFileSync(binaryFile, "utf8").startsWith(stamp)) console.log("kernels: up to date")
else writeBinary(compile())

/** A digest of all that the binary depends on. */
function fingerprint() {
  const hash = createHash("sha256")
  for (const name of readdirSync(folder).sort()) hash.update(name).update(readFileSync(join(folder, name)))
  return hash.update(readFileSync(compilerPackage())).digest("hex").slice(0, 16)
}

function compilerPackage() {
  return createRequire(import.meta.url).resolve("assemblyscript/package.json")
}

/** @returns {Buffer} */
function compile() {
  const temporary = mkdtempSync(join(tmpdir(), "kernels-"))
  try {
    const wasm = join(temporary, "kernels.wasm")
    const compiler = join(dirname(compilerPackage()), "bin/asc.js")
    execFileSync(process.execPath, [compiler, join(folder, "index.ts"), "-o", wasm, ...options], { stdio: "inherit" })
    return readFileSync(wasm)
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

/** @param {Buffer} bytes */
function writeBinary(bytes) {
  const lines = bytes.toString("base64").match(/.{1,110}/g) ?? []
  const text = `${stamp}\nexport const binary = [\n${lines.map((line) => `  "${line}",\n`).join("")}].join("")\n`
  const own = `${binaryFile}.${process.pid}.new`
  writeFileSync(own, text)
  renameSync(own, binaryFile)
  console.log(`kernels: compiled, ${bytes.length.toLocaleString("en")} bytes`)
}
