/** Builds the page into dist/app, where what it is made of changed: its sources, the library in dist/src, packages. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "vite"

const app = dirname(fileURLToPath(import.meta.url))
const root = join(app, "..")
const stamp = join(root, "dist", ".app-stamp")

const digest = digestOf([app, join(root, "dist/src/browser"), join(root, "dist/src/run"), join(root, "dist/src/core")])
const isSame =
  existsSync(stamp) && existsSync(join(root, "dist/app/index.html")) && readFileSync(stamp, "utf8") === digest
if (isSame && !process.argv.includes("--always")) console.log("page: up to date")
else if (!hasRightTypes()) process.exitCode = 1
else {
  await build({ configFile: join(app, "vite.config.ts"), logLevel: "warn" })
  writeFileSync(stamp, digest)
  console.log("page: built in dist/app")
}

function hasRightTypes() {
  const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc")
  return spawnSync(process.execPath, [compiler, "--noEmit", "-p", app], { stdio: "inherit" }).status === 0
}

/** @param {readonly string[]} folders */
function digestOf(folders) {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")))
  for (const folder of folders)
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())) {
      if (/\.(d\.ts|map|test\.js)$/.test(entry.name)) continue
      const path = join(entry.parentPath, entry.name)
      hash.update(path.slice(root.length)).update(readFileSync(path))
    }
  return hash.digest("hex")
}
