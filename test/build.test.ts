/** `npm run build`, several times at once in one checkout: the script with steps that only say when they run. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, test } from "vitest"
import { ended, startNode } from "./program.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "build-"))
  copyFileSync(fileURLToPath(new URL("../build.js", import.meta.url)), join(folder, "build.js"))
  write("package.json", `{ "type": "module" }`)
  write("node_modules/typescript/package.json", "{}")
  for (const [i, path] of [
    "kernels/build.js",
    "vocabulary/build.js",
    "node_modules/typescript/bin/tsc",
    "bin/mobileclip.js",
    "app/build.js",
  ].entries())
    write(path, step(i))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

/** Says which build it belongs to, and takes a moment. */
function step(i: number): string {
  return `import("node:fs").then(({ appendFileSync }) => {
    appendFileSync(${JSON.stringify(join(folder, "log"))}, process.ppid + " ${i}\\n")
    setTimeout(() => process.exit(process.env.FAILS === "${i}" ? 7 : 0), 100)
  })`
}

const build = (env = {}) => startNode([join(folder, "build.js")], { env: { ...process.env, ...env } })
const steps = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n")

test("the steps of one build come before those of the next", async () => {
  const builds = [build(), build(), build()]
  expect(await Promise.all(builds.map(ended))).toEqual([0, 0, 0])
  const first = steps().map((line) => line.split(" ")[0])
  expect(new Set(builds.map(({ pid }) => String(pid)))).toEqual(new Set(first))
  const order = [...new Set(first)]
  expect(steps()).toEqual(order.flatMap((pid) => [`${pid} 0`, `${pid} 1`, `${pid} 2`, `${pid} 3`, `${pid} 4`]))
  expect(readdirSync(join(folder, "dist"))).toEqual([])
})

test("what was made of sources that are gone is removed", async () => {
  for (const path of ["dist/src/a.js", "dist/src/a.js.map", "dist/src/a.d.ts", "dist/src/old/b.js", "dist/src/c.json"])
    write(path, "")
  write("src/a.ts", "")
  write("dist/app/assets/bundled.js", "")
  expect(await ended(build())).toBe(0)
  const left = readdirSync(join(folder, "dist"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /\./.test(name),
  )
  expect(left.sort()).toEqual(["app/assets/bundled.js", "src/a.d.ts", "src/a.js", "src/a.js.map", "src/c.json"])
})

test("a build that was killed holds nothing, and one that fails ends with its step's code", async () => {
  // No process has this number.
  write("dist/.build-lock", String(2 ** 30))
  expect(await ended(build({ FAILS: "1" }))).toBe(7)
  expect(steps().map((line) => line.split(" ")[1])).toEqual(["0", "1"])
  expect(readdirSync(join(folder, "dist"))).toEqual([])
})
