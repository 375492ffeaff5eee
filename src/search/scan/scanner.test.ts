import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { scanAddonOrNull } from "../../../scan/index.ts"
import { best, exactRows, headerBytes, products, unitRows, writeVectors } from "../../../test/vector-file.ts"
import { float32ToFloat16 } from "../../core/arrays/half.ts"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { AddonScanner } from "./addon-scanner.ts"
import type { Hits, Scanner } from "./scan-request.ts"
import { openScanner } from "./scanner.ts"
import { WasmScanner } from "./wasm-scanner.ts"

const folder = mkdtempSync(join(tmpdir(), "scanner-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const kernels = scanAddonOrNull!.kernels()
const kinds = [...kernels, "wasm"]
const opened: Scanner[] = []
afterAll(() => {
  for (const scanner of opened) scanner.close()
})

function open(kind: string, path: string, dim: number): Scanner {
  const layout = { dim, offset: headerBytes }
  const scanner =
    kind === "wasm" ? new WasmScanner(path, layout) : new AddonScanner(scanAddonOrNull!, path, layout, {}, kind)
  opened.push(scanner)
  return scanner
}

let files = 0
function file(rows: Float32Array) {
  const path = join(folder, `${files++}.f16`)
  return { path, rows: writeVectors(path, rows) }
}

const listed = ({ positions, scores }: Hits) => [...positions].map((position, i) => [position, scores[i]!] as const)

test("the addon is built, and the portable kernel is one of them", () => {
  expect(kernels.at(-1)).toBe("portable")
  expect(openScanner(file(new Float32Array(8)).path, { dim: 8, offset: headerBytes }).kind).toBe("addon")
})

/** Sums of 1024 products of unit vectors, of which each has an error of 2^-24 at most, in chains of up to 64. */
const tolerance = 1e-6

test.each(kinds)("%s: scores and order are those of float64", async (kind) => {
  for (const dim of [1, 3, 8, 64, 511, 512, 768, 1024]) {
    const random = Random.of(3, kind, dim)
    const { path, rows } = file(unitRows(random, 300, dim))
    const scanner = open(kind, path, dim)
    const query = unitRows(random, 1, dim)
    const expected = products(rows, query)
    const hits = await scanner.scan({ query, count: 300, k: 300 })
    expect(new Set(hits.positions).size).toBe(300)
    hits.positions.forEach((position, i) => {
      expect(Math.abs(hits.scores[i]! - expected[position]!)).toBeLessThan(tolerance)
      if (i > 0) expect(hits.scores[i]!).toBeLessThanOrEqual(hits.scores[i - 1]!)
    })
    expect(await scanner.scores(query, hits.positions)).toEqual(hits.scores)
    const [same] = await scanner.scanMany([query, rows.slice(0, dim), query, query, query], { count: 300, k: 300 })
    expect(same).toEqual(hits)
    const read = await scanner.read(Uint32Array.of(299, 0, 7))
    expect(read.subarray(dim, 2 * dim)).toEqual(rows.subarray(0, dim))
    expect(read.subarray(2 * dim)).toEqual(rows.subarray(7 * dim, 8 * dim))
  }
})

test.each(kinds)("%s: every float16 number is read exactly", async (kind) => {
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i)
  const path = join(folder, `${files++}.f16`)
  writeFileSync(path, Buffer.concat([Buffer.alloc(headerBytes), Buffer.from(bits.buffer)]))
  const all = Uint32Array.from(bits)
  const expected = await open("wasm", path, 1).read(all)
  expect(expected.filter((value) => !Number.isNaN(value))).toHaveLength(65_536 - 2046)
  expect(await open(kind, path, 1).read(all)).toEqual(expected)
  // As numbers, because the sign of zero is not kept by a sum that begins with zero.
  const scores = await open(kind, path, 1).scores(Float32Array.of(1), all)
  expect(scores.every((score, i) => score === expected[i] || (Number.isNaN(score) && Number.isNaN(expected[i])))).toBe(
    true,
  )
})

test.each(kinds)(
  "%s: ties, masks, places to go on from, rows without a vector: as sorting all finds them",
  async (kind) => {
    for (let round = 0; round < 60; round++) {
      const random = Random.of(5, kind, round)
      const [dim, total] = [1 + random.int(40), 1 + random.int(900)]
      const values = exactRows(random, total, dim)
      for (let row = 0; row < total; row++) if (random.chance(0.1)) values.fill(Number.NaN, row * dim, (row + 1) * dim)
      const { path, rows } = file(values)
      const query = exactRows(random, 1, dim)
      const count = random.int(total + 1)
      const scores = products(rows, query).subarray(0, count)
      const isDense = random.chance(0.5)
      const mask = Uint8Array.from({ length: Math.ceil(count / 8) }, () =>
        isDense ? random.int(256) : random.chance(0.1) ? 1 << random.int(8) : 0,
      )
      const after = { score: (random.int(17) - 8) / 16, position: random.int(total) }
      const given = { ...(random.chance(0.5) && { mask }), ...(random.chance(0.5) && { after }) }
      const k = 1 + random.int(random.chance(0.3) ? 2000 : 30)
      const expected = best(scores, k, (row, score) => {
        const isLater = score < after.score || (score === after.score && row > after.position)
        return (!given.mask || ((mask[row >> 3]! >> (row & 7)) & 1) === 1) && (!given.after || isLater)
      })
      const hits = await open(kind, path, dim).scan({ query, count, k, threads: 1 + random.int(4), ...given })
      expect(listed(hits)).toEqual(expected.map((row) => [row, scores[row]]))
    }
  },
)

test.each(kinds)("%s: pages cover everything once, and threads change nothing", async (kind) => {
  const random = Random.of(7, kind)
  // More than a thread takes at a time, and more than is searched in one thread.
  const [dim, count] = [16, 150_000]
  const { path, rows } = file(exactRows(random, count, dim))
  const query = exactRows(random, 1, dim)
  const scanner = open(kind, path, dim)
  const scores = products(rows, query)
  const expected = best(scores, count)
  const most = Array.from(expected.slice(0, 3000), (row) => [row, scores[row]])
  for (const threads of [1, 2, 3, 4])
    expect(listed(await scanner.scan({ query, count, k: 3000, threads }))).toEqual(most)
  const found: number[] = []
  for (let after: { score: number; position: number } | undefined; ; ) {
    const { positions, scores } = await scanner.scan({ query, count, k: 20_000, ...(after && { after }) })
    found.push(...positions)
    if (positions.length === 0) break
    after = { score: scores.at(-1)!, position: positions.at(-1)! }
  }
  expect(found).toEqual(expected)
})

test("both kinds find the same rows", async () => {
  const random = new Random(11)
  const { path } = file(unitRows(random, 20_000, 128))
  const query = unitRows(random, 1, 128)
  const [ours, theirs] = await Promise.all(
    ["addon", "wasm"].map((kind) =>
      openScanner(path, { dim: 128, offset: headerBytes, kind: kind as "addon" }).scan({ query, count: 20_000, k: 50 }),
    ),
  )
  expect(ours!.positions).toEqual(theirs!.positions)
  ours!.scores.forEach((score, i) => {
    expect(Math.abs(score - theirs!.scores[i]!)).toBeLessThan(tolerance)
  })
})

test.each(["addon", "wasm"] as const)("%s: a file that grows is searched while it does", async (kind) => {
  const random = new Random(13)
  const dim = 64
  const { path } = file(unitRows(random, 1, dim))
  const scanner = openScanner(path, { dim, offset: headerBytes, kind })
  const query = unitRows(random, 1, dim)
  for (let count = 1; count < 60_000; count += 6000) {
    const scan = scanner.scan({ query, count, k: 5 })
    appendFileSync(path, Buffer.from(float32ToFloat16(unitRows(random, 6000, dim)).buffer))
    const { positions } = await scan
    expect(positions).toHaveLength(Math.min(5, count))
    expect(Math.max(...positions)).toBeLessThan(count)
  }
  scanner.close()
})

test.each(["addon", "wasm"] as const)("%s: no rows, more hits than rows, a row too many", async (kind) => {
  const dim = 24
  const { path } = file(unitRows(new Random(1), 3, dim))
  const scanner = openScanner(path, { dim, offset: headerBytes, kind })
  const query = unitRows(new Random(2), 1, dim)
  expect(listed(await scanner.scan({ query, count: 0, k: 5 }))).toEqual([])
  expect((await scanner.scan({ query, count: 3, k: 5000 })).positions).toHaveLength(3)
  expect(await scanner.scores(query, new Uint32Array(0))).toHaveLength(0)
  await expect(scanner.scan({ query, count: 4, k: 5 })).rejects.toThrow(
    `${path} has ${4096 + 144} bytes, where its rows take ${4096 + 192}: it was cut`,
  )
  await expect(scanner.read(Uint32Array.of(3))).rejects.toThrow(UserError)
  await expect(scanner.scores(query, Uint32Array.of(0, 3))).rejects.toThrow(UserError)
  truncateSync(path, 4000)
  await expect(scanner.scan({ query, count: 1, k: 5 })).rejects.toThrow(`${path} has 4000 bytes`)
  scanner.close()
})

test.each(["addon", "wasm"] as const)("%s: what does not fit is refused before any work", async (kind) => {
  const { path } = file(unitRows(new Random(1), 20, 4))
  const scanner = openScanner(path, { dim: 4, offset: headerBytes, kind })
  const good = { query: Float32Array.of(1, 0, 0, 0), count: 20, k: 3 }
  const wrong = [
    { query: Float32Array.of(1, 0, 0) },
    { query: [1, 0, 0, 0] },
    { query: Float32Array.of(1, 0, 0, Number.NaN) },
    { count: -1 },
    { count: 2.5 },
    { count: 2 ** 32 },
    { k: 0 },
    { threads: 0 },
    { mask: new Uint8Array(2) },
    { mask: [1, 1, 1] },
    { after: { score: Number.NaN, position: 1 } },
    { after: { score: 1 } },
  ]
  for (const one of wrong) await expect(scanner.scan({ ...good, ...one } as never)).rejects.toThrow(UserError)
  await expect(scanner.scores(good.query, [1] as never)).rejects.toThrow(UserError)
  await expect(scanner.nearPairs({ count: 20, threshold: Number.NaN })).rejects.toThrow(UserError)
  scanner.close()
  await expect(scanner.scan(good)).rejects.toThrow("closed")
  const layout = { dim: 4, offset: headerBytes, kind }
  expect(() => openScanner(join(folder, "none.f16"), layout)).toThrow(UserError)
  expect(() => openScanner(path, { ...layout, offset: 3 })).toThrow(UserError)
  expect(() => openScanner(path, { ...layout, dim: 0 })).toThrow(UserError)
})
