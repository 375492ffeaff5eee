/** TypeScript files that hold bytes, made by the first steps of `npm run build`. Plain JavaScript, because what TypeScript compiles imports them. */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"

/**
 * Writes `export const NAME`, the bytes in base64, unless the file was made of the same sources.
 *
 * @param {{ file: string, name: string, from: string, sources: readonly string[], bytes: () => Uint8Array }} options
 * @returns {string} what was done
 */
export function writeGenerated({ file, name, from, sources, bytes }) {
  const stamp = `// Made from ${from} (${fingerprint(sources)}); not to be edited.`
  if (existsSync(file) && readFileSync(file, "utf8").startsWith(stamp)) return "up to date"
  const content = Buffer.from(bytes())
  const lines = content.toString("base64").match(/.{1,110}/g) ?? []
  const text = `${stamp}\nexport const ${name} = [\n${lines.map((line) => `  "${line}",\n`).join("")}].join("")\n`
  const own = `${file}.${process.pid}.new`
  writeFileSync(own, text)
  renameSync(own, file)
  return `made, ${content.length.toLocaleString("en")} bytes`
}

/** A digest of all that the bytes depend on. @param {readonly string[]} sources */
function fingerprint(sources) {
  const hash = createHash("sha256")
  for (const source of sources) hash.update(readFileSync(source))
  return hash.digest("hex").slice(0, 16)
}
