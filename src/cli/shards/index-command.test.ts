import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { tarEnd, tarEntry } from "../../../test/hostile.ts"
import { main } from "../main.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shards-index-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
  mkdirSync(join(folder, "s"))
  for (const name of ["0", "1"]) {
    const members = [
      tarEntry("a.jpg", "jpg"),
      tarEntry("a.txt", "one"),
      tarEntry("b.jpg", "jpg"),
      tarEntry("b.txt", "two"),
    ]
    writeFileSync(join(folder, "s", `${name}.tar`), Buffer.concat([...members, tarEnd]))
  }
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

async function run(...words: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["shards", ...words], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err }
}

const quiet = ["--progress", "none"]

test("indexes lie beside the shards; the same command makes none again", async () => {
  const shards = join(folder, "s")
  expect(await run("index", shards, ...quiet)).toEqual({ code: 0, out: "2 shards indexed: 4 samples\n", err: "" })
  expect(readdirSync(shards)).toEqual(["0.tar", "0.tar.index", "1.tar", "1.tar.index"])
  const { out } = await run("index", shards, "--jobs", "1", ...quiet)
  expect(out).toBe("0 shards indexed, 2 had an index: 4 samples\n")
  const again = await run("index", shards, "--again", "--json", ...quiet)
  const expected = { shards: 2, made: 2, inCache: 0, small: 0, compressed: 0, samples: 4, damaged: [], lists: [] }
  expect(JSON.parse(again.out)).toEqual(expected)
})

test("damaged shards are named at the end, and the others are done: exit code 1", async () => {
  const shards = join(folder, "s")
  writeFileSync(join(shards, "0.tar"), "no archive")
  writeFileSync(join(shards, "2.tar"), Buffer.concat([tarEntry("c.txt", "one"), tarEntry("d.txt", "two", "0", 5000)]))
  const { code, out, err } = await run("index", shards, ...quiet)
  expect([code, out]).toEqual([1, "2 shards indexed, 1 failed: 3 samples\n"])
  expect(err.split("\n").slice(0, 4)).toEqual([
    expect.stringMatching(/^mobileclip: .*0\.tar: .*0\.tar is not a shard$/),
    "  a tar archive or a JSONL file (plain, .gz or .zst) was expected",
    expect.stringMatching(/^mobileclip: .*2\.tar: d: the archive is cut short: d\.txt has 512 of 5000 bytes$/),
    "mobileclip: 2 of 3 shards are damaged or without an index, as named above",
  ])
})

test("a remote shard is refused in one line, before anything is asked of its server", async () => {
  const { code, err } = await run("index", join(folder, "s"), "s3://bucket/shards", ...quiet)
  expect(code).toBe(1)
  expect(err).toContain(
    "mobileclip: s3://bucket/shards is not on this machine, and indexes are written beside local shards\n",
  )
  expect(readdirSync(join(folder, "s"))).toEqual(["0.tar", "1.tar"])
})

test("help has examples, and packing still needs --out", async () => {
  const { code, out } = await run("index", "--help")
  expect([code, out]).toEqual([0, expect.stringContaining("mobileclip shards index data/shards")])
  const packing = await run("pictures")
  expect([packing.code, packing.err]).toEqual([
    2,
    expect.stringContaining("required option '--out <dir>' not specified"),
  ])
})

test("a foreign file under an index's name stays, and what to do about it is said", async () => {
  const shards = join(folder, "s")
  writeFileSync(join(shards, "1.tar.index"), "mine")
  const { code, err } = await run("index", shards, ...quiet)
  expect(code).toBe(1)
  expect(err.split("\n").slice(0, 2)).toEqual([
    expect.stringMatching(/^mobileclip: .*1\.tar: .*1\.tar\.index is there already, and mobileclip did not write it$/),
    "  move it away",
  ])
})
