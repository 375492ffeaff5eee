/** Whether an index is whole, and encoding again what is lost of its vectors. */
import { existsSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { Random } from "../../core/arrays/random.ts"
import { counted } from "../../core/counted.ts"
import { asUserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { IndexModel } from "../indexing/index-model.ts"
import { encodeRows, sameCosine } from "../migrate/encode-rows.ts"
import { openScanner, type Scanner } from "../scan/scanner.ts"
import { indexCommand, repairHint } from "../store/index-command.ts"
import { type Generation, IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import {
  DamagedHeaderError,
  lengthTolerance,
  readVectorHeader,
  rowsInFile,
  vectorOffset,
} from "../store/vector-file.ts"
import { databaseProblems, type Problem } from "./check-database.ts"
import { restoreCodes } from "./codes.ts"

export interface VerifyOptions {
  /** Encodes again what is lost. */
  readonly repair?: boolean | undefined
  /** So many pictures are encoded again and compared (default: 0). */
  readonly sample?: number | undefined
  readonly seed?: number | undefined
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
}

export interface VerifyResult {
  /** What is left; none: the index is whole. */
  readonly problems: readonly Problem[]
  readonly contents: number
  /** Pictures that were encoded again, of them those that were lost. */
  readonly repaired: number
  readonly compared: number
}

const rowsAtOnce = 4096

/** @throws UserError where there is no index, or, to repair it, another process writes it or its model cannot be opened; the signal's reason */
export async function verifyIndex(folder: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  const found = await check(folder, options)
  const { active, lost } = found
  const isRepaired = options.repair === true && active !== null && found.isOurs && (lost.length > 0 || found.isCut)
  const reasons = isRepaired ? await repair(folder, active!, lost, options) : null
  const after = isRepaired ? await check(folder, options) : found
  const compared = await compare(folder, after, options)
  const stillLost = lostProblems(folder, after.lost, reasons)
  return {
    problems: [...after.problems, ...stillLost, ...compared.problems],
    ...{ contents: after.count, repaired: isRepaired ? found.lost.length - after.lost.length : 0 },
    compared: compared.count,
  }
}

function lostProblems(folder: string, lost: readonly number[], reasons: ReadonlyMap<number, string> | null): Problem[] {
  if (lost.length === 0) return []
  using store = IndexStore.open(folder)
  const known = lost.filter((row) => reasons?.has(row))
  const others = lost.filter((row) => !reasons?.has(row))
  const repairAgain = repairHint(store.folder)
  const bringBack = `bring the files back and repair again: ${indexCommand(store.folder, "verify", "--repair")}, or forget them: ${indexCommand(store.folder, "forget", "PATH")}`
  return [
    ...some(
      others,
      (row) => ({ what: `${pathOf(store, row)} has no vector, or a wrong one`, hint: repairAgain }),
      (rest) => ({ what: `${counted(rest, "picture has", "pictures have")} none either`, hint: repairAgain }),
    ),
    ...some(
      known,
      (row) => ({ what: `${pathOf(store, row)} could not be encoded again: ${reasons!.get(row)}`, hint: bringBack }),
      (rest) => ({ what: `${counted(rest, "picture")} more could not be encoded again`, hint: bringBack }),
    ),
  ]
}

/** Problems of one kind that are told one by one: an index may lose a million vectors at once. */
const mostTold = 10

function some(
  rows: readonly number[],
  problemOf: (row: number) => Problem,
  restOf: (count: number) => Problem,
): Problem[] {
  const told = rows.slice(0, mostTold).map(problemOf)
  return rows.length > mostTold ? [...told, restOf(rows.length - mostTold)] : told
}

/** The first file of a content; its number where another process removed it meanwhile. */
function pathOf(store: IndexStore, row: number): string {
  const columns = "roots.path AS root, files.path AS path"
  const sql = `SELECT ${columns} FROM files JOIN roots ON roots.id = root WHERE content = ? LIMIT 1`
  const found = store.row(sql, row + 1)
  return found ? join(found.root as string, found.path as string) : `picture ${row + 1}`
}

interface Checked {
  readonly problems: readonly Problem[]
  readonly active: Generation | null
  readonly count: number
  /** Rows with files whose vector is missing or wrong. */
  readonly lost: readonly number[]
  readonly isCut: boolean
  /** Whether the file is of this generation, as far as it can be told. */
  readonly isOurs: boolean
}

async function check(folder: string, options: VerifyOptions): Promise<Checked> {
  using store = IndexStore.open(folder)
  // A writer may go on meanwhile: the tables are of one state.
  const { problems, active, count } = store.reading(() => ({
    problems: databaseProblems(store),
    active: store.generations().find(({ state }) => state === "active") ?? null,
    count: store.count,
  }))
  if (!active || count === 0) return { problems, active, count, lost: [], isCut: false, isOurs: true }
  const vectors = await checkVectors(store, active, count, options).catch((error: unknown) => {
    if (store.hasGeneration(active)) throw error
    return null
  })
  // The file goes when another generation takes its place, whose rows may have other numbers.
  if (vectors === null || !store.hasGeneration(active)) return check(folder, options)
  return { ...vectors, problems: [...problems, ...vectors.problems], active, count }
}

/** The file of this generation against the rows that the database has. */
async function checkVectors(store: IndexStore, active: Generation, count: number, options: VerifyOptions) {
  const path = store.vectorsPath(active)
  const header = headerProblems(path, active)
  const rows = existsSync(path) ? Math.min(count, rowsInFile(path, active.dim)) : 0
  const isCut = rows < count || header.isDamaged
  const what = existsSync(path) ? `${path} was cut: it has ${rows} of ${count} vectors` : `${path} is missing`
  const cut = rows < count ? [{ what, hint: repairHint(store.folder) }] : []
  const found = new Set(
    store.rows("SELECT id FROM contents WHERE copies > 0 ORDER BY id").map(({ id }) => Number(id) - 1),
  )
  const wrong = header.isOurs ? await wrongRows(path, active, rows, options) : []
  const lost = [...wrong, ...range(rows, count)].filter((row) => found.has(row))
  return { problems: [...cut, ...header.problems], lost, isCut, isOurs: header.isOurs }
}

function headerProblems(path: string, { dim, identity }: Generation) {
  if (!existsSync(path) || statSync(path).size < vectorOffset) return { problems: [], isOurs: true, isDamaged: true }
  try {
    const header = readVectorHeader(path)
    if (header.dim === dim && header.identity === identity) return { problems: [], isOurs: true, isDamaged: false }
    const what = `${path} has vectors of ${header.dim} values by ${header.model}, and the database says another model`
    const hint = "the files are of different indexes: restore the folder from one copy, or index again"
    return { problems: [{ what, hint }], isOurs: false, isDamaged: false }
  } catch (error) {
    const { message, hint = repairHint(dirname(path)) } = asUserError(error)
    return { problems: [{ what: message, hint }], isOurs: error instanceof DamagedHeaderError, isDamaged: true }
  }
}

/** Rows of NaN, or of another length than 1. */
async function wrongRows(path: string, { dim }: Generation, rows: number, options: VerifyOptions): Promise<number[]> {
  if (rows === 0) return []
  const { signal, startProgress = noProgress } = options
  const scanner = openScanner(path, { dim, offset: vectorOffset, use: "exact" })
  const progress = startProgress("reading vectors", rows, { unit: "vectors" })
  const wrong: number[] = []
  try {
    for (let first = 0; first < rows; first += rowsAtOnce) {
      signal?.throwIfAborted()
      const length = Math.min(rowsAtOnce, rows - first)
      const values = await scanner.read(Uint32Array.from(range(first, first + length)))
      for (let row = 0; row < length; row++)
        if (!isUnit(values.subarray(row * dim, (row + 1) * dim))) wrong.push(first + row)
      progress.update(first + length)
    }
    return wrong
  } finally {
    scanner.close()
    progress.done()
  }
}

function isUnit(vector: Float32Array): boolean {
  return Math.abs(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) - 1) <= lengthTolerance
}

/** Why rows could not be encoded, by row. */
async function repair(folder: string, active: Generation, lost: readonly number[], options: VerifyOptions) {
  const { threads, signal, startProgress = noProgress } = options
  await using model = IndexModel.of(folder, { threads })
  const encoder = lost.length > 0 ? await model.encoder() : null
  using writer = await IndexWriter.open(folder, "mobileclip index verify --repair", signal)
  writer.files.restore(active)
  const reasons = new Map<number, string>()
  const progress = startProgress("encoding again", lost.length, { unit: "pictures" })
  let done = 0
  if (encoder)
    for await (const each of encodeRows(writer.store, lost, encoder, active, { threads, signal })) {
      if ("vector" in each) writer.setVectors(active, each.row, each.vector)
      else {
        writer.setVectors(active, each.row, new Float32Array(active.dim).fill(Number.NaN))
        if ("reason" in each) reasons.set(each.row, each.reason)
      }
      progress.update(++done)
    }
  progress.done()
  await restoreCodes(writer.store, active, { signal, startProgress })
  return reasons
}

/** Pictures whose files are gone are not compared. */
async function compare(folder: string, { active, count, lost, isCut, isOurs }: Checked, options: VerifyOptions) {
  const { sample = 0, seed = 0, threads, signal } = options
  const problems: Problem[] = []
  if (sample === 0 || !active || isCut || !isOurs) return { problems, count: 0 }
  using store = IndexStore.open(folder)
  const without = new Set(lost)
  const rows = store
    .rows("SELECT id FROM contents WHERE copies > 0 AND id <= ? ORDER BY id", count)
    .map(({ id }) => Number(id) - 1)
    .filter((row) => !without.has(row))
  await using model = IndexModel.of(folder, { threads })
  const encoder = await model.encoder()
  const scanner = openScanner(store.vectorsPath(active), { dim: active.dim, offset: vectorOffset, use: "exact" })
  let compared = 0
  try {
    const drawn = draw(rows, sample, Random.of(seed, "verify"))
    for await (const each of encodeRows(store, drawn, encoder, active, { threads, signal })) {
      if (!("vector" in each)) continue
      compared++
      const cosine = await cosineOf(scanner, each.vector, each.row)
      if (!(cosine >= sameCosine)) problems.push(differs(store, each.row, cosine))
    }
  } finally {
    scanner.close()
  }
  return { problems, count: compared }
}

async function cosineOf(scanner: Scanner, vector: Float32Array, row: number): Promise<number> {
  return (await scanner.scores(vector, Uint32Array.of(row)))[0]!
}

function differs(store: IndexStore, row: number, cosine: number): Problem {
  const path = pathOf(store, row)
  const again = `${indexCommand(store.folder, "forget", "--once", path)} and then ${indexCommand(store.folder)}`
  return {
    what: `${path} has another vector than its picture gives: cosine ${cosine.toFixed(4)}`,
    hint: `encode it again: ${again}; where many differ, index again into a new folder`,
  }
}

function draw(rows: number[], most: number, random: Random): number[] {
  const count = Math.min(most, rows.length)
  for (let i = 0; i < count; i++) {
    const j = i + random.int(rows.length - i)
    const [a, b] = [rows[i]!, rows[j]!]
    rows[i] = b
    rows[j] = a
  }
  return rows.slice(0, count).sort((a, b) => a - b)
}

function range(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i)
}
