import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Command } from "commander"
import { afterAll, beforeAll, expect, test } from "vitest"
import { register } from "../../commands/reinforce.ts"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "interrupt-"))
  writeFileSync(join(folder, "0.tar"), "")
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What Ctrl-C would say while the command works. */
async function saidBy(...words: string[]): Promise<string[]> {
  const said: string[] = []
  const abortOnInterrupt = (what = "") => {
    said.push(what)
    return new AbortController().signal
  }
  const program = new Command().configureOutput({ writeOut() {}, writeErr() {} })
  register(program, { argv: [], writeUnchanged() {}, abortOnInterrupt })
  // What comes of the command is not the question.
  await program.parseAsync(["reinforce", ...words], { from: "user" }).catch(() => {})
  return said
}

test.each([
  ["leaving the job to its workers", ["run", "embedding"]],
  ["leaving the job to its workers", ["run", "caption"]],
  ["finishing the shards under way", ["embed"]],
  ["finishing the shards under way", ["caption"]],
])("what Ctrl-C says is what the command's help says: %s (%s)", async (what, words) => {
  const job = ["--input", join(folder, "0.tar"), "--output", join(folder, "out"), "--model-name", "m", "--dry-run"]
  expect(await saidBy(...words, ...job)).toEqual([what])
})

test("a check is left to its workers", async () => {
  const words = ["--input", join(folder, "0.tar"), "--output", join(folder, "checks"), "--nats", "no server"]
  expect(await saidBy("run", "verify", ...words)).toEqual(["leaving the job to its workers"])
})

test("a worker finishes its shards", async () => {
  expect(await saidBy("worker", "--nats", "no server")).toEqual(["finishing the shards under way"])
})
