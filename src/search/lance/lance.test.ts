/** Real LanceDB tables, in a folder and in a bucket, against products that are computed here. */
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { plainPicture } from "../../../test/plain-picture.ts"
import { credentials, S3Server } from "../../../test/s3-server.ts"
import { float16ToFloat32, float32ToFloat16 } from "../../core/arrays/half.ts"
import { Random } from "../../core/arrays/random.ts"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import type { Generation } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { followIndex, openTableScanner, storeChoice } from "./index-table.ts"
import { LanceScanner } from "./lance-scanner.ts"
import { loadLance } from "./lancedb.ts"
import { indexSettings, optimizeTable } from "./optimize.ts"
import { pushTo } from "./push.ts"
import { VectorTable } from "./vector-table.ts"

const [dim, count] = [32, 3000]
let folder: string
let index: IndexWriter
let generation: Generation
/** [count, dim] as the file has them; row 7 has no vector, and rows 100 to 139 are the same. */
let vectors: Float32Array
const at = (name: string) => join(folder, name)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lance-"))
  index = await IndexWriter.open(at("index"), "test")
  const settings = { orientation: "apply", decode: "exact", store: { lancedb: at("table") } } as const
  generation = index.addGeneration({ model: "m", source: "m", identity: "m 1", dim, settings })
  const random = new Random(5)
  const values = l2Normalize(
    Float32Array.from({ length: count * dim }, () => random.normal()),
    dim,
  )
  for (let row = 101; row < 140; row++) values.copyWithin(row * dim, 100 * dim, 101 * dim)
  values.fill(Number.NaN, 7 * dim, 8 * dim)
  vectors = float16ToFloat32(float32ToFloat16(values))
  addRows(0, count)
})
afterAll(() => {
  index[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

function addRows(first: number, rows: number): void {
  const pictures = Array.from({ length: rows }, (_, i) => {
    const row = first + i
    const vector = vectors.slice((row % count) * dim, ((row % count) + 1) * dim)
    return { ...plainPicture(row, Number.isNaN(vector[0]) ? null : vector), files: [] }
  })
  index.addPictures(generation, pictures)
}

const open = async (uri = at("table")) => new LanceScanner(await VectorTable.open(uri, at("index"), generation, true))
const vectorAt = (row: number) => vectors.slice(row * dim, (row + 1) * dim)
const queryAt = (row: number) => l2Normalize(vectorAt(row), dim)

/** All that are wanted, best first; equal ones by their position. */
function ranked(query: Float32Array, isWanted: (row: number) => boolean = () => true) {
  const rows = Array.from({ length: count }, (_, row) => row).filter((row) => row !== 7 && isWanted(row))
  const scoreOf = (row: number) => Math.fround(vectorAt(row).reduce((sum, value, i) => sum + value * query[i]!, 0))
  return rows
    .map((position) => ({ position, score: scoreOf(position) }))
    .sort((a, b) => b.score - a.score || a.position - b.position)
}

function maskOf(isSet: (row: number) => boolean): Uint8Array {
  const mask = new Uint8Array(Math.ceil(count / 8))
  for (let row = 0; row < count; row++) if (isSet(row)) mask[row >> 3]! |= 1 << (row & 7)
  return mask
}

test("the table is filled once, and what changes afterwards follows", async () => {
  expect(await pushTo(at("table"), index.store, generation)).toEqual({ added: count - 1, removed: 0 })
  const early = await open()
  expect(await pushTo(at("table"), index.store, generation)).toEqual({ added: 0, removed: 0 })
  index.setVectors(generation, 7, vectorAt(8))
  index.setVectors(generation, 20, new Float32Array(dim).fill(Number.NaN))
  expect(await pushTo(at("table"), index.store, generation)).toEqual({ added: 1, removed: 1 })
  index.setVectors(generation, 20, vectorAt(20))
  index.setVectors(generation, 7, new Float32Array(dim).fill(Number.NaN))
  expect(await pushTo(at("table"), index.store, generation)).toEqual({ added: 1, removed: 1 })
  // The very values of the file, also where the table was open before they were added.
  const read = await early.read(Uint32Array.of(2999, 0, 7, 0))
  for (const [i, row] of [2999, 0, 7, 0].entries()) expect(read.slice(i * dim, (i + 1) * dim)).toEqual(vectorAt(row))
  expect(await early.read(Uint32Array.of(20))).toEqual(vectorAt(20))
  early.close()
})

test("hits and scores are those of an exact search, page by page, with equal scores by position", async () => {
  const scanner = await open()
  for (const row of [0, 100, 1234]) {
    const query = queryAt(row)
    const wanted = ranked(query)
    const { positions, scores } = await scanner.scan({ query, count, k: 60 })
    expect(Array.from(positions)).toEqual(wanted.slice(0, 60).map(({ position }) => position))
    expect(Array.from(scores)).toEqual(wanted.slice(0, 60).map(({ score }) => score))
    expect(await scanner.scores(query, positions)).toEqual(scores)
    const paged: number[] = []
    for (let last: { position: number; score: number } | undefined; paged.length < 60; ) {
      const hits = await scanner.scan({ query, count, k: 12, ...(last && { after: last }) })
      paged.push(...hits.positions)
      last = { position: hits.positions.at(-1)!, score: hits.scores.at(-1)! }
    }
    expect(paged).toEqual(Array.from(positions))
  }
  expect(await scanner.scores(queryAt(0), Uint32Array.of(7))).toEqual(Float32Array.of(Number.NaN))
  scanner.close()
})

test.each([
  ["few rows", (row: number) => row % 701 === 3],
  ["every third", (row: number) => row % 3 === 0],
  ["no row", () => false],
  ["the far end of the ranking", (row: number) => row > 2900],
])("a mask of %s", async (_, isSet) => {
  const scanner = await open()
  const query = queryAt(50)
  const { positions } = await scanner.scan({ query, count, k: 20, mask: maskOf(isSet) })
  expect(Array.from(positions)).toEqual(
    ranked(query, isSet)
      .slice(0, 20)
      .map(({ position }) => position),
  )
  const before = await scanner.scan({ query, count: 500, k: 20 })
  expect(Array.from(before.positions)).toEqual(
    ranked(query, (row) => row < 500)
      .slice(0, 20)
      .map(({ position }) => position),
  )
  const all = await scanner.scan({ query, count, k: count })
  expect(all.positions).toHaveLength(count - 1)
  scanner.close()
})

test("a mask of more rows than are named in a search", async () => {
  addRows(count, 6000)
  await pushTo(at("table"), index.store, generation)
  const scanner = await open()
  const mask = new Uint8Array(9000 / 8).fill(255, 3000 / 8)
  const { positions } = await scanner.scan({ query: queryAt(50), count: 9000, k: 20, mask })
  // Rows 3000 and 6000 on are copies of the first 3000.
  expect(Array.from(positions)).toEqual(
    ranked(queryAt(50))
      .slice(0, 10)
      .flatMap(({ position }) => [position + 3000, position + 6000]),
  )
  scanner.close()
})

test("an index over vectors: what it loses is told, and pages and filters are complete", async () => {
  expect(await optimizeTable(at("table"), at("index"), generation)).toEqual({ rows: 8997, isIndexed: false, recall: 1 })
  const { isIndexed, recall } = await optimizeTable(at("table"), at("index"), generation, { indexFrom: 1000 })
  expect(isIndexed).toBe(true)
  // Random vectors are the worst case for parts of neighbours; 32 of 95 parts are looked into.
  expect(recall).toBeGreaterThan(0.5)
  const scanner = await open()
  const all = await scanner.scan({ query: queryAt(9), count: 9000, k: 9000 })
  expect(all.positions).toHaveLength(8997)
  const exact = await scanner.scan({ query: queryAt(9), count, k: 10, exact: true })
  expect(Array.from(exact.positions)).toEqual(
    ranked(queryAt(9))
      .slice(0, 10)
      .map(({ position }) => position),
  )
  scanner.close()
})

test("a table of another model, and one that is not there", async () => {
  await expect(VectorTable.open(at("table"), at("index"), { ...generation, identity: "m 2" })).rejects.toThrow(
    "belongs to another index",
  )
  await expect(VectorTable.open(at("none"), at("index"), generation, true)).rejects.toMatchObject({
    message: `there is no table vectors_1 at ${at("none")}`,
    hint: `mobileclip index --index ${at("index")} fills it again`,
  })
  const scanner = await open()
  await expect(scanner.nearPairs()).rejects.toThrow("near-duplicates are not searched in a LanceDB table")
  scanner.close()
})

const asList = (values: Float32Array | null) => values && Array.from(values)

/** A table that another program wrote over the index's: rows [positions, width] of these values. */
async function tableOf(
  name: string,
  positions: readonly number[],
  width: number,
  values: (row: number) => Float32Array | null,
) {
  const { lance, arrow } = await loadLance()
  const vector = new arrow.FixedSizeList(width, new arrow.Field("item", new arrow.Float32(), true))
  const fields = [new arrow.Field("position", new arrow.Uint32(), false), new arrow.Field("vector", vector, true)]
  const { identity, model } = generation
  const schema = new arrow.Schema(fields, new Map([["mobileclip", JSON.stringify({ identity, model })]]))
  const connection = await lance.connect(at(name))
  const table = await connection.createEmptyTable(`vectors_${generation.id}`, schema)
  await table.add(positions.map((position, row) => ({ position, vector: asList(values(row)) })))
  connection.close()
}

test("a table that was tampered with is one error, and no wrong hit", async () => {
  const rows = [0, 1, 2, 3]
  await tableOf("narrow", rows, 16, () => new Float32Array(16).fill(0.25))
  await expect(open(at("narrow"))).rejects.toThrow(
    `the table vectors_1 at ${at("narrow")} has the columns position Uint32, vector FixedSizeList[16]<Float32>, and the index position Uint32, vector FixedSizeList[32]<Float32>`,
  )
  const notUnit = "row 2 has a vector that is not of unit length"
  const other = (row: number, values: Float32Array | null) => (row === 2 ? values : vectorAt(row))
  const damaged = [
    // LanceDB itself writes no NaN, and a search by it passes over what has no distance.
    { positions: rows, values: new Float32Array(dim).fill(Number.POSITIVE_INFINITY), what: notUnit, isFound: false },
    { positions: rows, values: null, what: notUnit, isFound: false },
    { positions: rows, values: vectorAt(2).map((value) => 2 * value), what: notUnit, isFound: true },
    { positions: [0, 1, 3, 1], values: vectorAt(2), what: "row 1 is there twice", isFound: true },
  ]
  for (const [i, { positions, values, what, isFound }] of damaged.entries()) {
    const name = `damaged-${i}`
    await tableOf(name, positions, dim, (row) => other(row, values))
    const scanner = await open(at(name))
    const message = `the table vectors_1 at ${at(name)} is damaged: ${what}`
    const scan = scanner.scan({ query: queryAt(2), count: 4, k: 4 })
    if (isFound) await expect(scan).rejects.toThrow(message)
    else expect([...(await scan).positions].sort()).toEqual([0, 1, 3])
    await expect(scanner.scores(queryAt(2), Uint32Array.from(rows))).rejects.toThrow(message)
    scanner.close()
  }
})

test("rows that a table lacks have no score, and come back when it follows its index", async () => {
  await tableOf("few", [0, 1], dim, vectorAt)
  const scanner = await open(at("few"))
  expect([...(await scanner.scan({ query: queryAt(2), count: 4, k: 4 })).positions].sort()).toEqual([0, 1])
  expect((await scanner.scores(queryAt(2), Uint32Array.of(2)))[0]).toBeNaN()
  expect(await pushTo(at("few"), index.store, generation)).toEqual({ added: 8995, removed: 0 })
  expect((await scanner.scan({ query: queryAt(2), count: 4, k: 4 })).positions[0]).toBe(2)
  scanner.close()
})

test("in a bucket", async () => {
  await using server = await S3Server.start(folder, "bucket")
  const before = { ...process.env }
  Object.assign(process.env, credentials, { AWS_ENDPOINT_URL: await server.door(), AWS_REGION: "us-east-1" })
  try {
    const uri = "s3://bucket/index"
    expect((await pushTo(uri, index.store, generation)).added).toBe(8997)
    const scanner = await open(uri)
    const { positions } = await scanner.scan({ query: queryAt(5), count, k: 10 })
    expect(Array.from(positions)).toEqual(
      ranked(queryAt(5))
        .slice(0, 10)
        .map(({ position }) => position),
    )
    scanner.close()
  } finally {
    for (const name of [...Object.keys(credentials), "AWS_ENDPOINT_URL", "AWS_REGION"]) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  }
})

test("without the package, one line says what to install", async () => {
  const hook =
    'export const resolve = (name, context, next) => { if (name.startsWith("@lancedb")) throw new Error("Cannot find package"); return next(name, context) }'
  const program = `
    import { register } from "node:module"
    register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hook)}))
    const { loadLance } = await import(${JSON.stringify(new URL("../../../dist/src/search/lance/lancedb.js", import.meta.url))})
    await loadLance().catch((error) => console.log(error.name, error.message, error.hint))`
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program])
  expect(stdout).toBe(
    "UserError vectors in a LanceDB table need packages that cannot be loaded: Cannot find package npm install @lancedb/lancedb@0.31 apache-arrow@18\n",
  )
})

test("what a user calls a store", () => {
  expect(storeChoice("file")).toBe("file")
  expect(storeChoice("lancedb")).toEqual({ lancedb: "lancedb" })
  expect(storeChoice("lancedb:table")).toEqual({ lancedb: join(process.cwd(), "table") })
  expect(storeChoice("lancedb:s3://b/p")).toEqual({ lancedb: "s3://b/p" })
  expect(() => storeChoice("lance")).toThrow("there is no store lance")
})

test("a table follows its index in one call", async () => {
  const found = await followIndex("lancedb", index.store, generation)
  expect(found).toEqual({ added: 8997, removed: 0, rows: 8997, isIndexed: false, recall: 1 })
  const scanner = await openTableScanner("lancedb", at("index"), generation)
  expect((await scanner.scan({ query: queryAt(3), count, k: 1 })).positions[0]).toBe(3)
  const short = new Float32Array(3)
  await expect(scanner.scan({ query: short, count, k: 1 })).rejects.toThrow(
    "query has 3 numbers, and the vectors have 32",
  )
  scanner.close()
})

/** Files below a folder that have the float32 values of a row. */
const holdersOf = (place: string, row: number) =>
  readdirSync(place, { recursive: true, encoding: "utf8" }).filter((name) => {
    const isFile = statSync(join(place, name)).isFile()
    return isFile && readFileSync(join(place, name)).includes(Buffer.from(vectorAt(row).buffer))
  })

test.each([
  ["one part", 5, async (place: string) => void (await pushTo(place, index.store, generation))],
  [
    "several parts",
    9,
    async (place: string) => {
      await tableOf("several parts", [0, 1], dim, vectorAt)
      await pushTo(place, index.store, generation)
    },
  ],
])("what is forgotten is in no file of a table of %s, nor of its index over vectors", async (name, row, fill) => {
  const place = at(name)
  await fill(place)
  using opened = await VectorTable.open(place, at("index"), generation, true)
  await opened.table.createIndex("vector", { config: opened.lance.Index.ivfFlat(indexSettings(9000)) })
  expect(holdersOf(place, row).length).toBeGreaterThan(1)
  const none = new Float32Array(dim).fill(Number.NaN)
  // The rows that have the same vector.
  for (const copy of [row, row + 3000, row + 6000]) index.setVectors(generation, copy, none)
  expect(await followIndex(place, index.store, generation, { erases: true })).toMatchObject({ added: 0, removed: 3 })
  expect(holdersOf(place, row)).toEqual([])
  const scanner = await open(place)
  const hits = await scanner.scan({ query: queryAt(6), count: 9000, k: 3, exact: true })
  expect([...hits.positions]).toEqual([6, 3006, 6006])
  expect((await scanner.scores(queryAt(row), Uint32Array.of(row)))[0]).toBeNaN()
  scanner.close()
})
