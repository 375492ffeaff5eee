/** A file of vectors that another process cuts while it is searched: an error in one line, whenever that happens, and no crash. */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, mkdtempSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { plainPicture } from "../../../test/plain-picture.ts"
import { headerBytes, unitRows, writeVectors } from "../../../test/vector-file.ts"
import { Random } from "../../core/arrays/random.ts"
import { asUserError } from "../../core/errors.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { openScanner } from "./scanner.ts"

/** 40 MB, whose scan takes some milliseconds. */
const [dim, count] = [8192, 2500]
const [folder, children] = [
  mkdtempSync(join(tmpdir(), "cut-")),
  new Set<ChildProcessByStdio<null, Readable, Readable>>(),
]
const index = join(folder, "index")
const whole = join(folder, "whole.f16")
let vectors: string

beforeAll(async () => {
  using writer = await IndexWriter.open(index, "a test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "m", source: "m", identity: "m 1", dim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, '/pictures')")
  const vector = unitRows(new Random(1), 1, dim)
  writer.addPictures(
    generation,
    Array.from({ length: count }, (_, n) => plainPicture(n, vector)),
  )
  vectors = writer.store.vectorsPath(generation)
  copyFileSync(vectors, whole)
})

afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children.clear()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a process that searches says when the file is cut after so many milliseconds, or within a scan, and how it ends. */
async function cutAfter(milliseconds: number | "a scan began", bytes: number) {
  const isWithin = milliseconds === "a scan began"
  const words = ["dist/test/search-until-failure.js", index, "/pictures/7.jpg"]
  if (isWithin) words.push(vectors, String(bytes))
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] })
  children.add(child)
  const output = { out: "", error: "" }
  child.stdout.on("data", (chunk) => {
    output.out += String(chunk)
  })
  child.stderr.on("data", (chunk) => {
    output.error += String(chunk)
  })
  const closed = once(child, "close")
  await once(child.stdout, "data")
  if (!isWithin) {
    await sleep(milliseconds)
    truncateSync(vectors, bytes)
  }
  const [code, signal] = await closed
  return { ...output, code, signal }
}

test("an index that is searched in another process, again and again", async () => {
  const random = new Random(5)
  const said = new Set<string>()
  // At any moment; then where it meets a scan, unless that was over before.
  for (let round = 0; round < 40 && (round < 7 || !said.has("while it was searched")); round++) {
    copyFileSync(whole, vectors)
    const bytes = random.pick([0, headerBytes, headerBytes + random.int(count) * dim * 2 + 1])
    const { out, error, code, signal } = await cutAfter(round < 6 ? random.int(60) : "a scan began", bytes)
    expect([code, signal, error]).toEqual([0, null, ""])
    const [begin, line, ...rest] = out.split("\n")
    expect([begin, rest]).toEqual(["searching", [""]])
    const fault = `${vectors} could not be read: it was cut while it was searched, or its drive is gone`
    // Rows of the picture or of all.
    const size = /^(.*) has (\d+) bytes, where its rows take \d+: it was cut$/.exec(line!)
    if (line !== fault) expect(size?.slice(1)).toEqual([vectors, String(bytes)])
    said.add(line === fault ? "while it was searched" : "between two searches")
  }
  expect([...said]).toContain("while it was searched")
})

test("WebAssembly reads it in blocks, and says where it ends", async () => {
  const [path, all] = [join(folder, "blocks.f16"), join(folder, "blocks-whole.f16")]
  // More than is searched in one thread.
  const [width, query] = [1024, unitRows(new Random(2), 1, 1024)]
  writeVectors(all, unitRows(new Random(3), 5000, width))
  let failed = 0
  for (let round = 0; round < 40 && failed < 3; round++) {
    copyFileSync(all, path)
    const scanner = openScanner(path, { dim: width, offset: headerBytes, kind: "wasm" })
    const request = { query, count: 5000, k: 1, threads: 2 }
    await scanner.scan(request)
    const failure = scanner.scan(request).then(() => null, asUserError)
    await sleep(round % 5)
    truncateSync(path, headerBytes)
    const error = await failure
    scanner.close()
    if (error === null) continue
    failed++
    expect(error.message).toMatch(/blocks\.f16 has \d+ bytes, where its rows take \d+: it was cut$/)
  }
  expect(failed).toBe(3)
})
