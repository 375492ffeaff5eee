import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { tarEnd, tarEntry } from "../../../../test/hostile.ts"
import { main } from "../../../cli/main.ts"
import { listCsv } from "./csv.ts"
import { listIdentity } from "./identity.ts"
import { indexList } from "./index-lists.ts"
import { ListPass } from "./lists/list-pass.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "index-lists-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

const count = 60_000

function writeList(name: string, head: string, line: (i: number) => string): string {
  const path = join(folder, name)
  writeFileSync(path, [head, ...Array.from({ length: count }, (_, i) => line(i)), ""].join("\n"))
  return path
}

const csv = () =>
  writeList("pairs.csv", "filepath,title", (i) => `a/${i}.jpg,caption ${i} ${"of a picture ".repeat(6)}`)
const jsonl = () =>
  writeList("pairs.jsonl", "", (i) =>
    JSON.stringify({ file: `a/${i}.jpg`, name: `caption ${i} ${"picture ".repeat(9)}` }),
  )

async function run(...words: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["shards", "index", ...words, "--progress", "none"], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err }
}

test("a list gets an index beside it, by which its later starts need no pass, for the identity neither", async () => {
  const path = csv()
  expect(await indexList(path)).toEqual({ path, rows: count, index: "made" })
  expect(readdirSync(folder)).toContain("pairs.csv.index")
  rmSync(join(folder, "cache"), { recursive: true })
  const passes = vi.spyOn(ListPass.prototype, "starts")
  const list = await listCsv(path, {})
  expect(await listIdentity(list)).toMatch(/^60000 pictures \(\w{16}\)$/)
  list.close!()
  expect(await indexList(path)).toEqual({ path, rows: count, index: "found" })
  expect(passes).not.toHaveBeenCalled()
  expect((await indexList(path, { again: true })).index).toBe("made")
})

test("the command takes lists and shards, and the columns of lists", async () => {
  const lists = [csv(), jsonl()] as const
  writeFileSync(join(folder, "0.tar"), Buffer.concat([tarEntry("a.jpg", "jpg"), tarEntry("a.txt", "one"), tarEnd]))
  expect(await run(lists[0], join(folder, "0.tar"))).toEqual({
    code: 0,
    out: `${lists[0]}: indexed: 60000 rows\n1 shard indexed: 1 sample\n`,
    err: "",
  })
  expect((await run(lists[0])).out).toBe(`${lists[0]}: had an index: 60000 rows\n`)
  const { out } = await run(lists[1], "--image-column", "file", "--caption-column", "name", "--json")
  expect(JSON.parse(out)).toMatchObject({ shards: 0, lists: [{ path: lists[1], rows: count, index: "made" }] })
  const { code, err } = await run(lists[0], "--image-column", "nowhere")
  expect([code, err]).toEqual([1, expect.stringContaining('has no column "nowhere"')])
})

test("a small list needs none", async () => {
  const path = join(folder, "small.csv")
  writeFileSync(path, "filepath,title\n0.jpg,one\n")
  expect((await run(path)).out).toBe(`${path}: too small to need an index: 1 row\n`)
  expect(readdirSync(folder)).toEqual(["small.csv"])
})

test("beside a list where nothing can be written, the index is in the cache", async () => {
  const path = csv()
  const notes: string[] = []
  expect((await indexList(path, { onNote: (line) => notes.push(line) }, async () => false)).index).toBe("made")
  expect(notes).toEqual([expect.stringMatching(/pairs\.csv\.index cannot be written: the index goes to .*indexes, /)])
  expect(readdirSync(folder)).toEqual(["cache", "pairs.csv"])
  expect((await indexList(path, {}, async () => false)).index).toBe("found")
  const passes = vi.spyOn(ListPass.prototype, "starts")
  const list = await listCsv(path, {})
  await listIdentity(list)
  list.close!()
  expect(passes).not.toHaveBeenCalled()
})

test("a signal ends the reading of a list, and no index is left", async () => {
  const path = csv()
  await expect(indexList(path, { signal: AbortSignal.abort("stopped") })).rejects.toBe("stopped")
  expect(readdirSync(folder)).not.toContain("pairs.csv.index")
})
