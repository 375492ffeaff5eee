import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test } from "vitest"
import { main } from "../main.ts"

let folder: string
const before = process.cwd()

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "shards-command-"))
  process.chdir(folder)
  mkdirSync("my pictures/cat", { recursive: true })
  await sharp({ create: { width: 20, height: 20, channels: 3, background: "teal" } }).toFile("my pictures/cat/1.jpg")
})
afterEach(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

async function run(...words: string[]) {
  let [out, err] = ["", ""]
  const code = await main(words, undefined, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const quiet = ["--progress", "none"]

test("a folder becomes shards, parents of the output included; the end says what comes next", async () => {
  const { code, out, err } = await run("shards", "my pictures", "--out", "data/new shards", ...quiet)
  expect([code, err]).toEqual([0, ""])
  expect(out).toMatch(/^data\/new shards: 1 picture in 1 shard, 0\.0 MB\n/)
  expect(out).toContain("next:   mobileclip train --train-data 'data/new shards' --batch-size 2 --out runs/mine\n")
  expect(readdirSync("data/new shards").sort()).toContain("00000.tar")
})

test("what is left out is a line, in failures.jsonl and in the JSON; exit code 3", async () => {
  writeFileSync("my pictures/cat/2.jpg", "text")
  const { code, out, err } = await run("shards", "my pictures", "--out", "s", "--json", ...quiet)
  expect(code).toBe(3)
  const leftOut = [{ path: "cat/2.jpg", reason: "cat/2.jpg is not a picture" }]
  expect(JSON.parse(out)).toMatchObject({ out: "s", shards: 1, samples: 1, leftOut })
  expect(err).toBe("mobileclip: left out: cat/2.jpg: cat/2.jpg is not a picture; all of them are in s/failures.jsonl\n")
  expect(JSON.parse(readFileSync("s/failures.jsonl", "utf8"))).toEqual({ shard: "00000.tar", ...leftOut[0] })
})

test("a folder that cannot be read is left out too: a line, and exit code 3", async () => {
  mkdirSync(Buffer.from("my pictures/caf\xe9", "latin1"))
  const { code, err } = await run("shards", "my pictures", "--out", "s", ...quiet)
  expect([code, err]).toEqual([3, expect.stringMatching(/left out: caf\ufffd: .* its name is not UTF-8; all of them/)])
})

test.each(["my pictures", "pairs.csv"])("a command that wants shards and gets %s names this one", async (input) => {
  writeFileSync("pairs.csv", "filepath,title\nmy pictures/cat/1.jpg,x\n")
  const words = ["reinforce", "embed", "--input", input, "--output", "out", "--model-name", "m", ...quiet]
  const { code, err } = await run(...words)
  expect(code).toBe(1)
  const word = input.includes(" ") ? `'${input}'` : input
  expect(err).toContain(`\`mobileclip shards ${word} --out shards\` packs pictures into shards`)
  expect(readdirSync(folder).sort()).toEqual(["my pictures", "pairs.csv"])
})
