/** The sides of the measurement: each searches the same vectors, from the same file, and says with which settings. */
import { closeSync, mkdirSync, openSync, readSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { float16ToFloat32 } from "../../src/core/arrays/half.ts"
import { updateCodes } from "../../src/search/scan/codes.ts"
import { openScanner } from "../../src/search/scan/scanner.ts"

export interface Dataset {
  /** float16 rows after a header of `offset` bytes. */
  readonly path: string
  /** Where a side may write. */
  readonly folder: string
  readonly rows: number
  readonly dim: number
  readonly offset: number
  readonly threads: number
}

export interface VectorIndex {
  readonly settings: string
  /** Positions of the best `k` rows. */
  search(query: Float32Array, k: number): Promise<number[]>
}

export const sides = {
  "mobileclip addon": openOwn({ kind: "addon", use: "exact" }),
  "mobileclip codes": openOwn({ kind: "addon", use: "codes" }),
  "mobileclip WebAssembly": openOwn({ kind: "wasm" }),
  "usearch exact": openUsearch,
  "LanceDB flat": openLance(false),
  "LanceDB IVF_PQ": openLance(true),
  "sqlite-vec": openSqlite,
} as const satisfies Record<string, (dataset: Dataset) => Promise<VectorIndex>>

export type Side = keyof typeof sides

/** Rows that are taken over at a time. */
const batch = 10_000

function openOwn(choice: { readonly kind: "addon" | "wasm"; readonly use?: "exact" | "codes" }) {
  return async ({ path, rows, dim, offset, threads }: Dataset): Promise<VectorIndex> => {
    const codes = `${path}.bits`
    if (choice.use === "codes") await updateCodes(path, codes, { dim, offset, count: rows })
    const scanner = openScanner(path, { dim, offset, codes, ...choice })
    const how = choice.use === "codes" ? "binary codes, then exact" : "exact"
    return {
      settings: `float16 file, ${how}, ${threads} threads`,
      search: async (query, k) => [...(await scanner.scan({ query, count: rows, k, threads })).positions],
    }
  }
}

async function openUsearch(dataset: Dataset): Promise<VectorIndex> {
  const { exactSearch, MetricKind } = createRequire(import.meta.url)("usearch")
  const { rows, dim, threads } = dataset
  const all = new Float32Array(rows * dim)
  for (const { first, values } of batchesOf(dataset)) all.set(values, first * dim)
  return {
    settings: `float32 in memory, inner product, ${threads} threads`,
    async search(query, k) {
      const { keys } = exactSearch(all, query, dim, k, MetricKind.IP, threads)
      return Array.from(keys as BigUint64Array, Number)
    },
  }
}

function openLance(isIndexed: boolean) {
  return async (dataset: Dataset): Promise<VectorIndex> => {
    const { connect, Index } = await import("@lancedb/lancedb")
    const folder = join(dataset.folder, `lance-${isIndexed ? "ivf" : "flat"}`)
    mkdirSync(folder)
    const connection = await connect(folder)
    const batches = lanceBatches(dataset)
    const table = await connection.createTable("vectors", (await batches.next()).value!)
    for await (const rows of batches) await table.add(rows)
    const partitions = Math.round(Math.sqrt(dataset.rows) / 2)
    const numSubVectors = dataset.dim / 16
    const training = { maxIterations: 10, sampleRate: 64 }
    if (isIndexed)
      await table.createIndex("vector", {
        config: Index.ivfPq({ distanceType: "dot", numPartitions: partitions, numSubVectors, ...training }),
      })
    return {
      settings: isIndexed
        ? `float32 table, ${partitions} partitions, ${numSubVectors} sub-vectors of 8 bits, trained in 10 rounds on 64 rows a centre, 20 probed, refined 10-fold; its own threads`
        : "float32 table, index bypassed; its own threads",
      async search(query, k) {
        const asked = table.query().nearestTo(query).distanceType("dot").limit(k).select(["id", "_distance"])
        const found = await (isIndexed ? asked.nprobes(20).refineFactor(10) : asked.bypassVectorIndex()).toArray()
        return found.map(({ id }) => Number(id))
      },
    }
  }
}

/** Arrow tables of float32: of float16, LanceDB searches slower by half, and trains an index many times slower. */
async function* lanceBatches(dataset: Dataset) {
  // The copy that LanceDB itself loads: of a table of another one it takes no rows.
  const arrow = createRequire(import.meta.url)("apache-arrow")
  const { dim } = dataset
  for (const { first, values } of batchesOf(dataset)) {
    const count = values.length / dim
    const type = new arrow.FixedSizeList(dim, new arrow.Field("item", new arrow.Float32()))
    const child = arrow.makeData({ type: new arrow.Float32(), length: values.length, nullCount: 0, data: values })
    const vectors = arrow.makeData({ type, length: count, nullCount: 0, child })
    const ids = arrow.makeData({
      type: new arrow.Int32(),
      length: count,
      data: Int32Array.from({ length: count }, (_, i) => first + i),
    })
    yield new arrow.Table({ id: new arrow.Vector([ids]), vector: new arrow.Vector([vectors]) })
  }
}

async function openSqlite(dataset: Dataset): Promise<VectorIndex> {
  const { DatabaseSync } = await import("@photostructure/sqlite")
  const { getLoadablePath } = await import("sqlite-vec")
  const database = new DatabaseSync(join(dataset.folder, "vectors.sqlite"), { allowExtension: true })
  database.enableLoadExtension(true)
  database.loadExtension(getLoadablePath())
  database.exec("pragma journal_mode = off; pragma synchronous = off; pragma mmap_size = 8589934592")
  database.exec(`create virtual table vectors using vec0(vector float[${dataset.dim}] distance_metric=cosine)`)
  const insert = database.prepare("insert into vectors(rowid, vector) values (?, ?)")
  for (const { first, values } of batchesOf(dataset)) {
    database.exec("begin")
    for (let i = 0; i * dataset.dim < values.length; i++) {
      const row = values.slice(i * dataset.dim, (i + 1) * dataset.dim)
      insert.run(BigInt(first + i), new Uint8Array(row.buffer))
    }
    database.exec("commit")
  }
  const select = database.prepare("select rowid from vectors where vector match ? and k = ? order by distance")
  return {
    settings: "float32 table vec0, cosine, file mapped; one thread, it has no others",
    search: async (query, k) =>
      (select.all(new Uint8Array(query.slice().buffer), k) as { rowid: number }[]).map(({ rowid }) => Number(rowid)),
  }
}

/** The rows as float32, `batch` at a time. */
export function* batchesOf(dataset: Dataset) {
  for (let first = 0; first < dataset.rows; first += batch)
    yield { first, values: rowsAt(dataset, first, Math.min(batch, dataset.rows - first)) }
}

/** Rows [first, first + count) as float32. */
export function rowsAt({ path, dim, offset }: Dataset, first: number, count: number): Float32Array {
  const bits = new Uint16Array(count * dim)
  const descriptor = openSync(path, "r")
  try {
    readSync(descriptor, new Uint8Array(bits.buffer), 0, bits.byteLength, offset + first * dim * 2)
  } finally {
    closeSync(descriptor)
  }
  return float16ToFloat32(bits)
}
