/** A small one of `bench/sigkill.ts`, and that it sees what is wrong. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type KilledCommand, killAtRandom, realFolder, showsProcesses } from "./sigkill.ts"
import { type CommandName, Inputs } from "./sigkill-commands.ts"

const folder = realFolder(mkdtempSync(join(tmpdir(), "sigkill-")))
const killed: readonly CommandName[] = ["pull", "convert", "reinforce embed", "evaluate", "evaluate pack", "embed"]
let inputs: Inputs
beforeAll(async () => {
  inputs = await Inputs.make(join(folder, "inputs"), killed)
}, 60_000)
afterAll(async () => {
  await inputs[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

test.each(killed)("%s goes on to the right bytes", async (name) => {
  const report = await killAtRandom(inputs.command(name), { times: 2, seed: 2, folder, strayPatience: 10 })
  expect([...report.findings]).toEqual([])
  expect(report).toMatchObject({ runs: 2, right: 2, faults: { failed: 0, left: 0, wrong: 0, stray: 0 } })
  expect(report.kills).toBeGreaterThanOrEqual(2)
})

/** Its child stays, its hidden file is read by the next run, and its last run fails where it finds two files. */
const careless = `
  const { spawn } = require("node:child_process")
  const { existsSync, writeFileSync, rmSync } = require("node:fs")
  const before = existsSync(".result.tmp")
  writeFileSync(".result.tmp", "half")
  writeFileSync(process.env.TMPDIR + "/mobileclip-" + process.pid, "")
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 20000)"], { stdio: "ignore" })
  setTimeout(() => {
    writeFileSync("result", before ? "other bytes" : "bytes")
    rmSync(".result.tmp")
    rmSync(process.env.TMPDIR + "/mobileclip-" + process.pid)
    child.kill("SIGKILL")
  }, 700)
`

test("what a careless command leaves, changes and keeps running is seen", async () => {
  const begin = ["-e", careless]
  const differing = { files: [], keys: [] }
  mkdirSync(join(folder, "nothing"))
  const command: KilledCommand = {
    name: "careless",
    begin,
    goOn: () => begin,
    differing,
    inputs: join(folder, "nothing"),
  }
  const options = { times: 3, seed: 1, folder, strayPatience: 0.5 }
  const { runs, faults, findings } = await killAtRandom(command, options)
  expect(runs).toBe(3)
  const lines = [...findings.keys()]
  expect(lines).toContain("wrong: work/result")
  expect(lines).toContainEqual(expect.stringMatching(/^left: temporary\/mobileclip-\d+$/))
  if (showsProcesses()) expect(lines).toContainEqual(expect.stringMatching(/^stray: .* ran on for 0.5 s$/))
  expect(faults.wrong).toBeGreaterThan(0)
})

test("a command that cannot go on is told with its words", async () => {
  const refuse = 'console.error("first line"); console.error("mobileclip: it is locked"); process.exit(1)'
  const begin = ["-e", 'setTimeout(() => require("node:fs").writeFileSync("result", ""), 500)']
  const goOn = () => ["-e", refuse]
  const differing = { files: [], keys: [] }
  const command: KilledCommand = { name: "locked", begin, goOn, differing, inputs: join(folder, "nothing") }
  const { right, faults, findings } = await killAtRandom(command, { times: 2, seed: 1, folder, strayPatience: 1 })
  expect({ right, faults }).toEqual({ right: 0, faults: { failed: 2, left: 0, wrong: 0, stray: 0 } })
  expect([...findings]).toEqual([["failed: exit code 1: first line / mobileclip: it is locked", 2]])
})
