#!/usr/bin/env node
import { existsSync, readFileSync } from "node:fs"

const entry = new URL("../dist/src/cli/main.js", import.meta.url)
const [major, minor] = process.versions.node.split(".").map(Number)
/** Modules are loaded many at a time: finetune needs up to 150 open files, and with fewer some modules are reported as missing. */
const filesNeeded = 256
const files = openFiles()

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`mobileclip: Node ${process.versions.node} is too old: 20.19 or newer is needed`)
  process.exitCode = 1
} else if (files < filesNeeded) {
  console.error(`mobileclip: ${files} files may be open at a time here, and ${filesNeeded} are needed`)
  console.error("  raise the limit: ulimit -n 4096")
  process.exitCode = 1
} else if (!existsSync(entry)) {
  console.error("mobileclip: not built yet: run `npm run build` first")
  process.exitCode = 1
} else {
  const { main } = await import(entry.href)
  process.exitCode = await main(process.argv.slice(2))
}

/** How many files this process may have open, which Node has raised as far as allowed. Infinity where the system does not say. */
function openFiles() {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}
