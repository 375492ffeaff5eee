#!/usr/bin/env node
import { existsSync } from "node:fs"

const entry = new URL("../dist/src/cli/main.js", import.meta.url)
const [major, minor] = process.versions.node.split(".").map(Number)

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`mobileclip: Node ${process.versions.node} is too old: 20.19 or newer is needed`)
  process.exitCode = 1
} else if (!existsSync(entry)) {
  console.error("mobileclip: not built yet: run `npm run build` first")
  process.exitCode = 1
} else {
  const { main } = await import(entry.href)
  process.exitCode = await main(process.argv.slice(2))
}
