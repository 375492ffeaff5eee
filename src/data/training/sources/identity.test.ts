import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { openStorage } from "../../stores/open.ts"
import type { Storage } from "../../stores/storage.ts"
import { listFolder } from "./folder.ts"
import { listIdentity, shardIdentity } from "./identity.ts"
import { listJsonl, listPairs } from "./pairs.ts"

const folder = await mkdtemp(join(tmpdir(), "identity-"))
afterAll(() => rm(folder, { recursive: true }))

/** Files by name and size, in a folder of their own. */
async function files(name: string, sizes: Readonly<Record<string, number>>): Promise<string> {
  for (const [file, size] of Object.entries(sizes)) {
    const path = join(folder, name, file)
    await mkdir(join(path, ".."), { recursive: true })
    await writeFile(path, "x".repeat(size))
  }
  return join(folder, name)
}

const shards = (at: string, names = ["0.tar", "1.tar"]) =>
  shardIdentity(
    names.map((name) => join(at, name)),
    40,
    openStorage(),
  )

test("shards have the same identity in any folder, and another one by name, size, order or number of samples", async () => {
  const at = await files("shards", { "0.tar": 10, "1.tar": 20, "2.tar": 20 })
  const identity = await shards(at)
  expect(identity).toMatch(/^40 samples in 2 shards, 30 bytes \([0-9a-f]{16}\)$/)
  expect(await shards(at, ["1.tar", "0.tar"])).not.toBe(identity)
  expect(await shards(at, ["0.tar", "2.tar"])).not.toBe(identity)
  expect(await shardIdentity([join(at, "0.tar"), join(at, "1.tar")], 41, openStorage())).not.toBe(identity)
  const moved = join(folder, "elsewhere", "deep")
  await mkdir(join(moved, ".."))
  await rename(at, moved)
  expect(await shards(moved)).toBe(identity)
  await writeFile(join(moved, "1.tar"), "x".repeat(21))
  expect(await shards(moved)).not.toBe(identity)
})

test("only some of very many remote shards are asked for their size, and all names count", async () => {
  let asked = 0
  const sizes: Pick<Storage, "stat"> = { stat: async (url) => ({ bytes: ++asked && url.length }) }
  const urls = (scheme: string, odd = "x") =>
    Array.from(
      { length: 100_000 },
      (_, i) => `${scheme}/${i === 77_777 ? odd : ""}${String(i).padStart(6, "0")}.tar?key=1`,
    )
  const [first, query, renamed] = [urls("s3://a/b"), urls("s3://a/c"), urls("s3://a/b", "y")]
  const identity = await shardIdentity(first, null, sizes as Storage)
  expect(asked).toBe(4096)
  expect(identity).toMatch(/^100000 shards \([0-9a-f]{16}\)$/)
  expect(await shardIdentity(query, null, sizes as Storage)).toBe(identity)
  expect(await shardIdentity(renamed, null, sizes as Storage)).not.toBe(identity)
})

test("the identity of a list depends on its pictures' names and sizes, and its captions", async () => {
  const rows = (pictures: Readonly<Record<string, string>>) =>
    Object.entries(pictures).map(([image, caption]) => `${JSON.stringify({ image, caption })}\n`)
  const at = await files("list", { "a/0.jpg": 10, "b/1.jpg": 20, "b/2.jpg": 20 })
  const identityOf = async (pictures: Readonly<Record<string, string>>, list = join(at, "list.jsonl")) => {
    await writeFile(list, rows(pictures))
    return listIdentity(await listJsonl(list, {}))
  }
  const identity = await identityOf({ "a/0.jpg": "one", "b/1.jpg": "two" })
  expect(identity).toMatch(/^2 pictures, 30 bytes \([0-9a-f]{16}\)$/)
  expect(await identityOf({ "a/0.jpg": "one", "b/1.jpg": "too" })).not.toBe(identity)
  expect(await identityOf({ "a/0.jpg": "one", "b/2.jpg": "two" })).not.toBe(identity)
  const absolute = { [join(at, "a/0.jpg")]: "one", [join(at, "b/1.jpg")]: "two" }
  expect(await identityOf(absolute, join(folder, "elsewhere.jsonl"))).toBe(identity)
  await writeFile(join(at, "b/1.jpg"), "x".repeat(21))
  expect(await identityOf({ "a/0.jpg": "one", "b/1.jpg": "two" })).not.toBe(identity)
})

test("the identity of a folder depends on its files, those of captions too", async () => {
  const at = await files("folder", { "0.jpg": 10, "0.txt": 3, "1.jpg": 20, "1.txt": 4 })
  const identity = await listIdentity(await listFolder(at, []))
  expect(identity).toContain("2 pictures, 37 bytes")
  await rename(at, join(folder, "moved"))
  expect(await listIdentity(await listFolder(join(folder, "moved"), []))).toBe(identity)
  await writeFile(join(folder, "moved", "1.txt"), "other")
  expect(await listIdentity(await listFolder(join(folder, "moved"), []))).not.toBe(identity)
})

test("a missing picture is not an error", async () => {
  const pairs = [{ image: "nowhere.jpg", captions: ["one"] }]
  expect(await listIdentity(listPairs(join(folder, "list.csv"), pairs))).toMatch(/^1 pictures \(/)
})
