import { execFile } from "node:child_process"
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, expect, test } from "vitest"
import { scanAddonOrNull } from "../../../scan/index.ts"
import { scanAddon } from "../../../scan/paths.ts"
import { headerBytes, normalize, writeVectors } from "../../../test/vector-file.ts"
import { float32ToFloat16 } from "../../core/arrays/half.ts"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { builtAddon } from "../../native/addon.ts"
import { codedRows, updateCodes } from "./codes.ts"
import { codesBlockBytes, codesOffset } from "./codes-file.ts"
import { measureRecall } from "./recall.ts"
import { openScanner } from "./scanner.ts"

const folder = mkdtempSync(join(tmpdir(), "codes-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const dim = 192
const layout = { dim, offset: headerBytes }

/** Rows around 200 centres, which lie around one of all, as the vectors of a CLIP do. */
function clustered(random: Random, count: number): Float32Array {
  const normal = (std: number) => {
    const values = new Float32Array(dim)
    random.fillNormal(values, std)
    return values
  }
  const common = normal(1)
  const centres = Array.from({ length: 200 }, () => normal(0.7).map((value, i) => value + common[i]!))
  const rows = new Float32Array(count * dim)
  for (let row = 0; row < count; row++) {
    const values = normal(0.5)
    const centre = random.pick(centres)
    for (let i = 0; i < dim; i++) values[i]! += centre[i]!
    normalize(values)
    rows.set(values, row * dim)
  }
  return rows
}

const all = clustered(new Random(3), 24_000)
let files = 0
function fresh(count: number) {
  const name = join(folder, String(files++))
  const rows = all.subarray(0, count * dim)
  writeVectors(`${name}.f16`, rows)
  return { vectors: `${name}.f16`, codes: `${name}.bits` }
}

const append = (path: string, from: number, to: number) =>
  appendFileSync(path, Buffer.from(float32ToFloat16(all.slice(from * dim, to * dim)).buffer))

test("codes find nearly all of the best rows, with exact scores, and say how many", async () => {
  const { vectors, codes } = fresh(24_000)
  const told: number[] = []
  await updateCodes(vectors, codes, { ...layout, count: 24_000, onProgress: (done) => told.push(done) })
  expect([codedRows(codes), told.at(-1)]).toEqual([24_000, 24_000])
  const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
  expect(scanner.usesCodes(24_000)).toBe(true)
  const measured = await measureRecall(scanner, { count: 24_000 })
  expect(measured).toMatchObject({ k: 20, queries: 32 })
  expect(measured!.recall).toBeGreaterThan(0.99)
  const query = all.slice(0, dim)
  const request = { query, count: 24_000, k: 20, mask: new Uint8Array(3000).fill(0b10101010) }
  const found = await scanner.scan(request)
  expect(found).toEqual(await scanner.scan({ ...request, exact: true }))
  expect(found.positions.every((position) => position % 2 === 1)).toBe(true)
  for (const threads of [1, 2, 3]) expect(await scanner.scan({ ...request, threads })).toEqual(found)
  scanner.close()
})

test("vectors that bits tell apart less well get more candidates, or are scanned", async () => {
  const candidates = (path: string) => readFileSync(path).readDoubleLE(64)
  const easy = fresh(6000)
  await updateCodes(easy.vectors, easy.codes, { ...layout, count: 6000 })
  expect(candidates(easy.codes)).toBe(1000)
  // 8 dimensions have 256 codes for all rows.
  const narrow = { dim: 8, offset: headerBytes }
  const values = new Float32Array(20_000 * 8)
  new Random(2).fillNormal(values, 1)
  const [vectors, codes] = [join(folder, "narrow.f16"), join(folder, "narrow.bits")]
  writeVectors(vectors, values)
  await updateCodes(vectors, codes, { ...narrow, count: 20_000 })
  expect(candidates(codes)).toBeGreaterThanOrEqual(4000)
  const scanner = openScanner(vectors, { ...narrow, codes, use: "codes" })
  const measured = await measureRecall(scanner, { count: 20_000 })
  expect(measured === null || measured.recall >= 0.99).toBe(true)
  scanner.close()
})

test("every kernel gives the same estimates, of whatever dimension", async () => {
  for (const width of [1, 63, 64, 100, 512, 770]) {
    const random = Random.of(4, width)
    const values = new Float32Array(700 * width)
    random.fillNormal(values, 1)
    const [vectors, codes] = [join(folder, `${width}.f16`), join(folder, `${width}.bits`)]
    writeVectors(vectors, values)
    const own = { dim: width, offset: headerBytes }
    await updateCodes(vectors, codes, { ...own, count: 700 })
    const found = scanAddonOrNull!.kernels().map((kernel) => {
      const descriptor = [vectors, codes].map((path) => openSync(path, "r"))
      const file = new scanAddonOrNull!.VectorFile(descriptor[0]!, width, headerBytes, kernel)
      file.openCodes(descriptor[1]!, codesOffset(width))
      descriptor.forEach(closeSync)
      const request = { count: 700, k: 20, threads: 2 }
      return file.scanCodes(values.subarray(0, width), request, { count: 700, candidates: 30 })
    })
    const [first, ...others] = (await Promise.all(found)).map(({ positions }) => [...positions].sort())
    expect(first).toHaveLength(20)
    for (const other of others) expect(other).toEqual(first)
  }
})

test("where the system gives fewer threads than were asked for, nothing is left out", async () => {
  const { vectors, codes } = fresh(20_000)
  await updateCodes(vectors, codes, { ...layout, count: 20_000 })
  // Room for ten stacks of threads more than the process has. Rows after the 15,000th are scanned without codes.
  const program = `
    const [file, vectors, codes] = ${JSON.stringify([builtAddon(scanAddon)!.file, vectors, codes])}
    const { openSync, readFileSync } = require("node:fs")
    const opened = new (require(file).VectorFile)(openSync(vectors, "r"), ${dim}, ${headerBytes}, "")
    opened.openCodes(openSync(codes, "r"), ${codesOffset(dim)})
    const query = new Float32Array(${dim}).fill(0.05)
    const ask = async (threads) => {
      const request = { count: 20000, k: 50, threads }
      const { positions } = await opened.scanCodes(query, request, { count: 15001, candidates: 2000 })
      return [...positions]
    }
    ask(1).then(async (expected) => {
      const size = 1024 * /VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]
      const limit = require("node:child_process").spawnSync("prlimit", ["--pid", process.pid, "--as=" + (size + 8e7)])
      console.log(JSON.stringify({ status: limit.status, expected, found: await ask(500) }))
    })`
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", program])
  const { status, expected, found } = JSON.parse(stdout)
  expect([status, expected.length, found]).toEqual([0, 50, expected])
})

test("recall is what was found of what is there", async () => {
  const { vectors, codes } = fresh(8000)
  await updateCodes(vectors, codes, { ...layout, count: 8000 })
  // Estimates of a random order: of the best 20 about as many are found as there are candidates among the rows.
  const bytes = readFileSync(codes)
  const random = new Random(1)
  for (let at = codesOffset(dim); at < bytes.length; at += codesBlockBytes(dim))
    for (let i = 256; i < codesBlockBytes(dim); i++) bytes[at + i] = random.int(256)
  writeFileSync(codes, bytes)
  const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
  const { recall } = (await measureRecall(scanner, { count: 8000 }))!
  expect(recall).toBeGreaterThan(0.05)
  expect(recall).toBeLessThan(0.25)
  scanner.close()
  const exact = openScanner(vectors, { ...layout, codes })
  expect([exact.usesCodes(8000), await measureRecall(exact, { count: 8000 })]).toEqual([false, null])
  exact.close()
})

test("rows without codes are scanned, and codes go on where they ended", async () => {
  const { vectors, codes } = fresh(10_000)
  await updateCodes(vectors, codes, { ...layout, count: 10_000 })
  const before = readFileSync(codes)
  const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
  append(vectors, 10_000, 10_100)
  const query = all.slice(10_050 * dim, 10_051 * dim)
  expect((await scanner.scan({ query, count: 10_100, k: 1 })).positions).toEqual(Uint32Array.of(10_050))
  const k5 = { query, count: 10_100, k: 5 }
  expect(await scanner.scan(k5)).toEqual(await scanner.scan({ ...k5, exact: true }))
  await updateCodes(vectors, codes, { ...layout, count: 10_100 })
  const after = readFileSync(codes)
  expect(codedRows(codes)).toBe(10_100)
  const whole = codesOffset(dim) + Math.floor(10_000 / 64) * codesBlockBytes(dim)
  expect(Buffer.compare(after.subarray(4096, whole), before.subarray(4096, whole))).toBe(0)
  expect(await scanner.scan(k5)).toEqual(await scanner.scan({ ...k5, exact: true }))
  expect((await scanner.scan({ query, count: 10_020, k: 1 })).positions[0]).toBeLessThan(10_020)
  scanner.close()
})

test("rows that had no vector get their codes, and a mean of a quarter of the rows is made again", async () => {
  const { vectors, codes } = fresh(6000)
  const bytes = readFileSync(vectors)
  const whole = Buffer.from(bytes)
  const row = (position: number) => headerBytes + position * dim * 2
  new Uint16Array(bytes.buffer, bytes.byteOffset + row(70), 100 * dim).fill(0x7e00)
  writeFileSync(vectors, bytes)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
  const query = all.slice(100 * dim, 101 * dim)
  const request = { query, count: 6000, k: 20 }
  expect([...(await scanner.scan(request)).positions].filter((position) => position >= 70 && position < 170)).toEqual(
    [],
  )
  writeFileSync(vectors, whole)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  expect((await scanner.scan(request)).positions[0]).toBe(100)
  scanner.close()
  const small = fresh(1000)
  await updateCodes(small.vectors, small.codes, { ...layout, count: 1000 })
  const mean = () => readFileSync(small.codes).subarray(4096, 4096 + dim * 4)
  const first = mean()
  append(small.vectors, 1000, 4001)
  await updateCodes(small.vectors, small.codes, { ...layout, count: 4000 })
  expect(mean()).toEqual(first)
  await updateCodes(small.vectors, small.codes, { ...layout, count: 4001 })
  expect(mean()).not.toEqual(first)
})

test("codes of other vectors, cut ones and what is not codes are not used, and are made again", async () => {
  const { vectors, codes } = fresh(6000)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  const good = readFileSync(codes)
  const bytes = readFileSync(vectors)
  const uses = () => {
    const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
    const answer = scanner.usesCodes(6000)
    scanner.close()
    return answer
  }
  expect(uses()).toBe(true)
  for (const bad of [
    good.subarray(0, -1),
    good.subarray(0, 30),
    Buffer.alloc(0),
    Buffer.from("no codes".repeat(1000)),
  ]) {
    writeFileSync(codes, bad)
    expect(uses()).toBe(false)
  }
  writeFileSync(codes, good)
  bytes[100]! ^= 1
  writeFileSync(vectors, bytes)
  expect(uses()).toBe(false)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  expect(uses()).toBe(true)
})

test("codes that are cut while they are open are done without", async () => {
  const { vectors, codes } = fresh(6000)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  const scanner = openScanner(vectors, { ...layout, codes, use: "codes" })
  const request = { query: all.slice(0, dim), count: 6000, k: 20 }
  const found = await scanner.scan(request)
  expect(scanner.usesCodes(6000)).toBe(true)
  truncateSync(codes, 10_000)
  expect(await scanner.scan(request)).toEqual(found)
  expect(scanner.usesCodes(6000)).toBe(false)
  await updateCodes(vectors, codes, { ...layout, count: 6000 })
  expect([scanner.usesCodes(6000), await scanner.scan(request)]).toEqual([true, found])
  truncateSync(vectors, 5000)
  await expect(scanner.scan(request)).rejects.toThrow(`${vectors} has 5000 bytes`)
  scanner.close()
})

test("a signal ends it, and the next call goes on; a short file is a UserError", async () => {
  const { vectors, codes } = fresh(24_000)
  const controller = new AbortController()
  const onProgress = () => controller.abort()
  await expect(
    updateCodes(vectors, codes, { ...layout, count: 24_000, signal: controller.signal, onProgress }),
  ).rejects.toThrow(expect.objectContaining({ name: "AbortError" }))
  expect(codedRows(codes)).toBe(0)
  await updateCodes(vectors, codes, { ...layout, count: 20_000 })
  expect(codedRows(codes)).toBe(20_000)
  await expect(updateCodes(vectors, codes, { ...layout, count: 24_001 })).rejects.toThrow(UserError)
  await expect(updateCodes(join(folder, "none"), codes, { ...layout, count: 1 })).rejects.toThrow(UserError)
})
