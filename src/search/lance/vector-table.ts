/**
 * A LanceDB table of a generation's vectors: `position` and `vector`, of unit length. What has no vector is not in it. Values are
 * those of the index, as float32: LanceDB computes with float16 ten times slower on processors without instructions for it.
 */
import type { Connection, Table } from "@lancedb/lancedb"
import type { Field, Schema } from "apache-arrow"
import { messageOf, UserError } from "../../core/errors.ts"
import { indexCommand } from "../store/index-command.ts"
import type { Generation } from "../store/index-store.ts"
import { lengthTolerance } from "../store/vector-file.ts"
import { type Arrow, connect, inTable, type Lance, loadLance } from "./lancedb.ts"

export type TableGeneration = Pick<Generation, "id" | "model" | "identity" | "dim">

export interface FoundRows {
  readonly positions: Uint32Array
  /** [positions, dim] */
  readonly vectors: Float32Array
}

/** What a search by the table is limited to. */
export interface TableSearch {
  /** [dim] */
  readonly query: Float32Array
  readonly limit: number
  /** Cosines of at most this, by the table's own arithmetic. */
  readonly most?: number
  readonly positions?: readonly number[]
  /** Without an index over vectors. */
  readonly exact: boolean
}

/** Positions in one condition: a longer text takes LanceDB long to read. */
const positionsAtOnce = 5000

/** Dot products of unit vectors that are summed in another order differ by less. */
const roughness = 1e-5

/** Parts of an index over vectors that a search looks into. */
export const probes = 32

export class VectorTable implements Disposable {
  private constructor(
    readonly uri: string,
    private readonly folder: string,
    readonly dim: number,
    readonly lance: Lance,
    private readonly arrow: Arrow,
    private readonly connection: Connection,
    readonly table: Table,
  ) {}

  /**
   * @param uri a folder, or an address that LanceDB knows
   * @param folder of the index
   * @param generation whose table is made where it is not there, unless `mustExist`
   * @throws UserError where LanceDB is not installed, or the table is another index's or has other columns; EnvironmentError where
   *   it cannot be reached
   */
  static async open(uri: string, folder: string, generation: TableGeneration, mustExist = false): Promise<VectorTable> {
    const { lance, arrow } = await loadLance()
    const connection = await connect(lance, uri)
    const name = `vectors_${generation.id}`
    // Not every store with the protocol of S3 lists what is in it as LanceDB expects.
    const found = await inTable(uri, () => connection.openTable(name).catch(nullIfMissing))
    if (found === null && mustExist) throw missing(uri, folder, name)
    const table = found ?? (await inTable(uri, () => connection.createEmptyTable(name, schemaOf(arrow, generation))))
    await requireSame(uri, folder, table, generation, schemaOf(arrow, generation))
    return new VectorTable(uri, folder, generation.dim, lance, arrow, connection, table)
  }

  /** One transaction of the table. */
  async add({ positions, vectors }: FoundRows): Promise<void> {
    const { arrow, dim } = this
    const count = positions.length
    if (count === 0) return
    const schema = schemaOf(arrow, { dim })
    const values = arrow.makeData({ type: new arrow.Float32(), length: count * dim, nullCount: 0, data: vectors })
    const children = [
      arrow.makeData({ type: new arrow.Uint32(), length: count, nullCount: 0, data: positions }),
      arrow.makeData({ type: schema.fields[1]!.type, length: count, nullCount: 0, child: values } as never),
    ]
    const rows = arrow.makeData({ type: new arrow.Struct(schema.fields), length: count, nullCount: 0, children })
    const data = new arrow.Table(schema, [new arrow.RecordBatch(schema, rows)])
    await inTable(this.uri, () => this.table.add(data as never))
  }

  async remove(positions: readonly number[]): Promise<void> {
    for (const part of partsOf(positions)) await inTable(this.uri, () => this.table.delete(isOneOf(part)))
  }

  /**
   * Removes rows so that their vectors go with the versions before: a part of which a row is removed keeps all values, so the
   * others of it are written again.
   */
  async erase(positions: readonly number[]): Promise<void> {
    const parts = new Set<bigint>()
    for (const some of partsOf(positions)) {
      const query = () => this.table.query().where(isOneOf(some)).select(["position"]).withRowId().toArray()
      for (const { _rowid } of await inTable(this.uri, query)) parts.add((_rowid as bigint) >> 32n)
    }
    await this.remove(positions)
    for (const part of parts) {
      const where = `_rowid >= ${part << 32n} AND _rowid < ${(part + 1n) << 32n}`
      await inTable(this.uri, () => this.table.update({ where, valuesSql: { position: "position" } }))
    }
  }

  /** All positions, in no order. */
  async positions(): Promise<Uint32Array> {
    const found = await inTable(this.uri, () => this.table.query().select(["position"]).toArrow())
    return (found.getChild("position")?.toArray() as Uint32Array | undefined) ?? new Uint32Array(0)
  }

  /** Those of the positions that are in the table, in no order. Throws UserError where a row is damaged. */
  async read(positions: readonly number[]): Promise<FoundRows> {
    const parts: FoundRows[] = []
    for (const part of partsOf(positions)) {
      const query = () =>
        this.table.query().where(isOneOf(part)).limit(part.length).select(["position", "vector"]).toArrow()
      parts.push(this.rowsOf(await inTable(this.uri, query)))
    }
    return joined(parts, this.dim)
  }

  /** The nearest first, but for rounding, and for what an index over vectors does not find. Throws UserError where a row is damaged. */
  async search({ query, limit, most, positions, exact }: TableSearch): Promise<FoundRows> {
    const search = this.table
      .vectorSearch(query)
      .distanceType("dot")
      .select(["position", "vector", "_distance"])
      .limit(limit)
    search.nprobes(probes)
    if (exact) search.bypassVectorIndex()
    // The distance is 1 - dot product.
    if (most !== undefined) search.distanceRange(1 - most - roughness)
    if (positions !== undefined) search.where(isOneOf(positions))
    return this.rowsOf(await inTable(this.uri, () => search.toArrow()))
  }

  [Symbol.dispose](): void {
    this.table.close()
    this.connection.close()
  }

  private rowsOf(found: Awaited<ReturnType<ReturnType<Table["query"]>["toArrow"]>>): FoundRows {
    const parts = found.batches.map((batch) => {
      const positions = Uint32Array.from(batch.getChild("position")!.toArray() as Uint32Array)
      const list = batch.getChild("vector")!.data[0]!
      const values = list.children[0]!.values as Float32Array
      const first = list.offset * this.dim
      return { positions, vectors: values.slice(first, first + positions.length * this.dim) }
    })
    const rows = joined(parts, this.dim)
    this.requireWhole(rows)
    return rows
  }

  /** Others may have written into the table: a row that is there twice, or whose vector is damaged, would be a wrong hit. */
  private requireWhole({ positions, vectors }: FoundRows): void {
    const seen = new Set<number>()
    for (const [i, position] of positions.entries()) {
      const isUnit = Math.abs(lengthOf(vectors, i * this.dim, this.dim) - 1) <= lengthTolerance
      if (!isUnit || seen.has(position)) {
        const what = isUnit ? "is there twice" : "has a vector that is not of unit length"
        const where = `the table ${this.table.name} at ${this.uri}`
        throw new UserError(`${where} is damaged: row ${position} ${what}`, fillAgain(this.folder))
      }
      seen.add(position)
    }
  }
}

function lengthOf(values: Float32Array, from: number, dim: number): number {
  let squares = 0
  for (let i = from; i < from + dim; i++) squares += values[i]! * values[i]!
  return Math.sqrt(squares)
}

function schemaOf(arrow: Arrow, { dim, identity, model }: Pick<TableGeneration, "dim"> & Partial<TableGeneration>) {
  const vector = new arrow.FixedSizeList(dim, new arrow.Field("item", new arrow.Float32(), true))
  const fields: Field[] = [
    new arrow.Field("position", new arrow.Uint32(), false),
    new arrow.Field("vector", vector, true),
  ]
  return new arrow.Schema(fields, new Map(identity ? [["mobileclip", JSON.stringify({ identity, model })]] : []))
}

async function requireSame(
  uri: string,
  folder: string,
  table: Table,
  { identity, model }: TableGeneration,
  expected: Schema,
): Promise<void> {
  const found = await inTable(uri, () => table.schema())
  if (found.metadata.get("mobileclip") !== JSON.stringify({ identity, model })) {
    throw new UserError(
      `the table ${table.name} at ${uri} belongs to another index, or to one of another model`,
      "give each index an address of its own: --store lancedb:URI",
    )
  }
  if (columnsOf(found) === columnsOf(expected)) return
  const columns = `the columns ${columnsOf(found)}, and the index ${columnsOf(expected)}`
  throw new UserError(`the table ${table.name} at ${uri} has ${columns}`, fillAgain(folder))
}

function fillAgain(folder: string): string {
  return `remove the table; then ${indexCommand(folder)} fills it again`
}

/** "position Uint32, vector FixedSizeList[512]<Float32>" */
function columnsOf({ fields }: Schema): string {
  return fields.map(({ name, type }) => `${name} ${type}`).join(", ")
}

function nullIfMissing(error: unknown): null {
  if (/not found|does not exist/i.test(messageOf(error))) return null
  throw error
}

function missing(uri: string, folder: string, name: string): UserError {
  return new UserError(`there is no table ${name} at ${uri}`, `${indexCommand(folder)} fills it again`)
}

function isOneOf(positions: readonly number[]): string {
  return `position IN (${positions.join(",")})`
}

function* partsOf(positions: readonly number[]): Generator<readonly number[]> {
  for (let from = 0; from < positions.length; from += positionsAtOnce)
    yield positions.slice(from, from + positionsAtOnce)
}

function joined(parts: readonly FoundRows[], dim: number): FoundRows {
  if (parts.length === 1) return parts[0]!
  const count = parts.reduce((sum, { positions }) => sum + positions.length, 0)
  const all = { positions: new Uint32Array(count), vectors: new Float32Array(count * dim) }
  let at = 0
  for (const { positions, vectors } of parts) {
    all.positions.set(positions, at)
    all.vectors.set(vectors, at * dim)
    at += positions.length
  }
  return all
}
