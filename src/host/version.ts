import { existsSync, readFileSync } from "node:fs"

/** The version of this package. Its package.json is two folders above the source and three above the build. */
export function version(): string {
  const candidates = ["../../package.json", "../../../package.json"].map((path) => new URL(path, import.meta.url))
  return JSON.parse(readFileSync(candidates.find((url) => existsSync(url))!, "utf8")).version
}
