/** The terms of a query to one vector. Pictures that the index has, by their paths or by their bytes, are not encoded again. */
import { createHash } from "node:crypto"
import { UserError } from "../../core/errors.ts"
import type { QueryKind } from "../calibrate/calibration.ts"
import { combine } from "./combine.ts"
import type { IndexState } from "./followed-index.ts"
import type { OpenGeneration } from "./open-generation.ts"
import { rowOfFile, rowOfHash } from "./rows/look-up.ts"
import type { SearchTerm } from "./search-request.ts"

export interface EncodedQuery {
  /** [dim], unit length */
  readonly vector: Float32Array
  readonly kind: QueryKind
  readonly terms: readonly EncodedTerm[]
  /** Rows that are left out: pictures that hits are to be like. */
  readonly without: readonly number[]
}

export interface EncodedTerm {
  readonly term: SearchTerm
  /** [dim], unit length */
  readonly vector: Float32Array
}

type PictureTerm = Exclude<SearchTerm, { kind: "text" }>

/** Throws UserError for a picture that cannot be read, for another model than the index's, and where terms cancel each other. */
export async function encodeQuery(state: IndexState, terms: readonly SearchTerm[]): Promise<EncodedQuery> {
  const texts = terms.flatMap((term) => (term.kind === "text" ? [term.text] : []))
  const ofTexts = texts.length > 0 ? await state.open.model.encodeTexts(texts) : []
  const encoded: EncodedTerm[] = []
  const without: number[] = []
  for (const term of terms) {
    if (term.kind === "text") {
      encoded.push({ term, vector: ofTexts.shift()! })
      continue
    }
    const { row, vector } = await pictureVector(state, term)
    if (row !== null && isLike(term)) without.push(row)
    encoded.push({ term, vector })
  }
  const vector = combine(encoded.map(({ term: { weight }, vector }) => ({ vector, weight })))
  return { vector, kind: kindOf(terms), terms: encoded, without }
}

function kindOf([first, ...others]: readonly SearchTerm[]): QueryKind {
  if (others.length > 0) return "mixed"
  return first!.kind === "text" ? "text" : "picture"
}

function isLike({ kind }: PictureTerm): boolean {
  return kind === "like" || kind === "like-bytes"
}

/** Its vector, and its row where the index has it. */
async function pictureVector({ store, open }: IndexState, term: PictureTerm) {
  const known = term.kind === "like" ? rowOfFile(store, term.path) : null
  const ofKnown = known === null ? null : await storedVector(open, known)
  if (ofKnown) return { row: known, vector: ofKnown }
  const bytes = "bytes" in term ? term.bytes : await pictureBytes(term)
  const row = known ?? rowOfHash(store, createHash("sha256").update(bytes).digest())
  const ofBytes = row === null || row === known ? null : await storedVector(open, row)
  const name = "path" in term ? term.path : "the picture"
  return { row, vector: ofBytes ?? (await open.model.encodePicture(bytes, name)) }
}

async function pictureBytes({ path, kind }: Extract<PictureTerm, { path: string }>): Promise<Uint8Array> {
  const { readBytes } = await import("../../host/files/files.ts")
  try {
    return await readBytes(path)
  } catch (error) {
    if (kind !== "like" || !(error instanceof UserError)) throw error
    const hint = "name a picture by its path in the results"
    throw new UserError(`${path} is not in the index, and cannot be read`, hint, { cause: error })
  }
}

/** Made unit length, which rounding to float16 changed a little; null where the row has none. */
async function storedVector(open: OpenGeneration, row: number): Promise<Float32Array | null> {
  const vector = await (await open.scanner()).read(Uint32Array.of(row))
  if (Number.isNaN(vector[0])) return null
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}
