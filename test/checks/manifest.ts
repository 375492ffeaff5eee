/** The golden data's own inventory: the files that are there have the listed size and sha256. */
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { type Check, mismatches } from "./check.ts"

interface Manifest {
  readonly files: readonly (readonly [path: string, bytes: number, sha256: string])[]
}

export function* checkManifest(file: string): Iterable<Check> {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Manifest
  const present = manifest.files
    .map(([name, bytes, sha256]) => ({ location: path.join(path.dirname(file), name), bytes, sha256 }))
    .filter(({ location }) => existsSync(location))
  const wrong = present.filter(({ location, bytes, sha256 }) => {
    const content = readFileSync(location)
    return content.length !== bytes || createHash("sha256").update(content).digest("hex") !== sha256
  })
  yield mismatches(`sizes and hashes of ${present.length} files`, wrong.length)
}
