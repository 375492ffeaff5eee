/**
 * `npm run build`: kernels, the vocabulary, TypeScript, addons; one process at a time in a checkout, because a process that ran
 * files while another one writes them would read half of them. Plain JavaScript, because nothing is compiled yet.
 */
import { spawnSync } from "node:child_process"
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const root = dirname(fileURLToPath(import.meta.url))
const lock = join(root, "dist", ".build-lock")
const own = `${lock}.${process.pid}`
const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc")
const steps = [
  ["kernels/build.js"],
  ["vocabulary/build.js"],
  [compiler, "-b"],
  ["bin/mobileclip.js", "setup"],
  ["app/build.js"],
]

await takeLock()
try {
  process.exitCode = build()
} finally {
  rmSync(lock, { force: true })
}

/** The exit code of the first step that fails. */
function build() {
  for (const step of steps) {
    const { status } = spawnSync(process.execPath, step, { cwd: root, stdio: "inherit" })
    if (status !== 0) return status ?? 1
  }
  removeStale()
  return 0
}

/** tsc leaves what it made of sources that are gone, and `npm pack` would take that too. */
function removeStale() {
  for (const name of readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" })) {
    // Bundled, under names of its own.
    if (/^app[/\\]/.test(name)) continue
    const source = name.replace(/\.(d\.ts|js|js\.map)$/, ".ts")
    if (source !== name && !existsSync(join(root, source))) rmSync(join(root, "dist", name))
  }
}

/** The file holds the number of the process; one that is gone holds nothing. */
async function takeLock() {
  mkdirSync(dirname(lock), { recursive: true })
  writeFileSync(own, String(process.pid))
  for (let said = false; !link(own, lock); said = true) {
    const holder = holderOf(lock)
    // Read again: one that ended meanwhile has removed its lock, and the file may be that of the next process.
    if (holder && !runs(holder) && holderOf(lock) === holder) takeAway()
    else if (holder && !said) console.log(`waiting: process ${holder} builds here (${lock})`)
    await sleep(200)
  }
  rmSync(own)
}

/** Another process may have taken the lock in the meantime: then it gets it back. */
function takeAway() {
  const away = `${own}.old`
  try {
    renameSync(lock, away)
  } catch {
    return
  }
  const holder = holderOf(away)
  if (holder && runs(holder)) link(away, lock)
  rmSync(away)
}

/** @param {string} from @param {string} to */
function link(from, to) {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error.code !== "EEXIST") throw error
    return false
  }
}

/** @param {string} path */
function holderOf(path) {
  try {
    return Number(readFileSync(path, "utf8"))
  } catch {
    return 0
  }
}

/** @param {number} pid */
function runs(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === "EPERM"
  }
}
