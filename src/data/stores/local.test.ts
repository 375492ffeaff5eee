import { createHash } from "node:crypto"
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { openStorage } from "./open.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "local-"))
})
afterAll(() => rm(folder, { recursive: true }))

const storage = openStorage()
const chunks = ["one ", "two"].map((text) => Buffer.from(text))

test("a file is put, hashed, listed, read and removed", async () => {
  const path = join(folder, "new/deep/0.tar")
  const sha256 = createHash("sha256").update("one two").digest("hex")
  expect(await storage.put(path, chunks)).toEqual({ bytes: 7, sha256 })
  const url = pathToFileURL(path).href
  expect(await storage.stat(url)).toEqual({ bytes: 7 })
  expect(Buffer.from((await storage.readBytes(url))!).toString()).toBe("one two")
  await using local = await storage.fetch(url)
  expect(local.path).toBe(path)
  await storage.put(join(folder, "new/1.tar"), [])
  for (const name of [".2.tar.0123456789ab.tmp", "._1.tar", ".DS_Store", "deep/Thumbs.db"])
    await writeFile(join(folder, "new", name), "")
  expect(await storage.list(join(folder, "new"))).toEqual(["1.tar", "deep/0.tar"])
  await storage.remove(path)
  await storage.remove(path)
  expect(await storage.stat(path)).toBe(null)
})

test("missing files", async () => {
  const missing = join(folder, "missing")
  expect(await storage.readBytes(missing)).toBe(null)
  expect(await storage.list(missing)).toEqual([])
  await expect(storage.fetch(missing)).rejects.toThrow(`${missing}: no such file`)
  await expect(storage.fetch(folder)).rejects.toThrow(`${folder} is a folder`)
})

test("a link to itself and a name with a NUL character are one line", async () => {
  const loop = join(folder, "loop.tar")
  await symlink("loop.tar", loop)
  const errors = await Promise.all(
    [storage.stat(loop), storage.stat(join(folder, "a\0b")), storage.list(loop)].map((asked) =>
      (asked as Promise<unknown>).catch((error: unknown) => error),
    ),
  )
  for (const error of errors) expect(error).toBeInstanceOf(UserError)
  expect((errors[0] as UserError).message).toBe(`${loop} is a link that leads back to itself`)
})

test.each(["file://elsewhere/0.tar", "file:///a%2fb"])("%s is one line", async (url) => {
  const error: unknown = await storage.stat(url).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toContain(`${url} is not a file's address: `)
})

test("a file that breaks off while it is written leaves nothing", async () => {
  async function* broken() {
    yield chunks[0]!
    throw new Error("no more")
  }
  const place = join(folder, "broken")
  await expect(storage.put(join(place, "0.tar"), broken())).rejects.toThrow("no more")
  expect(await readdir(place)).toEqual([])
})

test("an unknown scheme is an error that names the known ones", async () => {
  const error: unknown = await storage.fetch("gs://bucket/0.tar").catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toBe("gs://bucket/0.tar: gs:// is not read here")
  expect((error as UserError).hint).toBe("known are paths and file://, http://, https://, s3://, hf://")
})
