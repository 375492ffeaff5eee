/**
 * A sample as an object of a JSONL line, in the shape that ml-mobileclip-dr publishes: the picture in base64, and an
 * embedding as base64 of gzip of a pickled float32 array.
 */

import { numpyPickle, readNumpyPickle } from "../../../core/containers/numpy-pickle.ts"
import { quoted, UserError } from "../../../core/errors.ts"
import { isMissing, JsonNumber } from "../../../core/json.ts"
import { parseParamAug } from "../../augment/stored.ts"
import { checkRows } from "../check-rows.ts"
import { gzip, matrix, unzip } from "../embeddings.ts"
import { type Embeddings, type EncodedImage, pictureExtension, type ReinforcedSample } from "../sample.ts"
import { EmbeddingBudget, longestKey, longestText } from "../sample-budget.ts"
import { cutCaptions, type ReportKept, takeTexts, textList } from "../tar/members.ts"

type Fields = Readonly<Record<string, unknown>>

/** The beginning of every gzip file in base64. */
const gzipStart = "H4sI"

/**
 * Throws a UserError that says what is wrong with which field. A very long caption is cut, and a very long URL stays
 * among the other fields.
 *
 * @param stored bytes of the line
 */
export function sampleOfRecord(record: Fields, stored: number, kept: ReportKept = () => {}): ReinforcedSample {
  const { key, rest: keyless } = takeKey(record)
  const { image, param_aug, members = {}, ...others } = keyless
  const { url, rest } = takeUrl(others, kept)
  const { embeddings, fields: plain } = takeEmbeddings(rest, new EmbeddingBudget(stored, "its embeddings"))
  const { synTexts, fields: unread } = takeSynTexts(plain, embeddings)
  const { texts, fields } = takeTexts(unread)
  const sample: ReinforcedSample = {
    ...{ key, image: imageOf(image), url, embeddings, fields, ...cutCaptions({ texts, synTexts }, kept) },
    paramAug: param_aug === undefined || isMissing(param_aug) ? null : parseParamAug(param_aug, "its views"),
    others: othersOf(members),
  }
  checkRows(sample)
  return sample
}

/** The line's object; equal samples give equal texts. */
export function recordOfSample(sample: ReinforcedSample): Fields {
  const { key, image, url, texts, synTexts, paramAug, embeddings, fields, others } = sample
  const known: Record<string, unknown> = {}
  // A key that is not the uid, such as img2dataset's numbers, has a name of its own.
  if (fields.uid !== undefined && fields.uid !== key) known.__key__ = key
  else known.uid = key
  if (url !== null) known.url = url
  if (image) known.image = base64(image.bytes)
  if (texts.length > 0) known[texts.length === 1 ? "text" : "texts"] = texts.length === 1 ? texts[0] : texts
  Object.assign(known, Object.fromEntries(synTexts))
  if (paramAug) known.param_aug = paramAug
  const vectors = [...embeddings].map(([name, array]) => [name, encodeEmbeddings(array)])
  const carried = [...others].map(([extension, bytes]) => [extension, base64(bytes)])
  if (carried.length > 0) known.members = Object.fromEntries(carried)
  return { ...known, ...without(fields, known), ...Object.fromEntries(vectors) }
}

function without(fields: Fields, known: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !Object.hasOwn(known, name)))
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")
}

function encodeEmbeddings({ values, rows, width }: Embeddings): string {
  return base64(gzip(numpyPickle(values, rows, width)))
}

// ------------------------------------------------------------------------------------------------------ reading

/** The key of the sample that a line's object holds. Throws UserError where there is none. */
export function keyOfRecord(record: Fields): string {
  return takeKey(record).key
}

function takeKey(record: Fields): { key: string; rest: Fields } {
  for (const name of ["__key__", "uid", "id"]) {
    const { [name]: value, ...rest } = record
    const key = keyText(value)
    if (key === null) continue
    if (key.length > longestKey) throw new UserError(`"${name}" has more than ${longestKey} letters`)
    return { key, rest }
  }
  throw new UserError('no "uid" and no "id"')
}

/** What a key is as text: every digit of a number, so that ids of 19 digits stay distinct. Null for what is not a key. */
export function keyText(value: unknown): string | null {
  if (typeof value === "string" && value !== "") return value
  if (typeof value === "number") return String(value)
  if (!(value instanceof JsonNumber) || !Number.isFinite(value.value)) return null
  // 7.0 is the key 7.
  return Number.isSafeInteger(value.value) ? String(value.value) : value.text
}

function imageOf(value: unknown): EncodedImage | null {
  if (value === undefined || value === "" || isMissing(value)) return null
  const bytes = bytesOf(value, "image")
  return { extension: pictureExtension(bytes), bytes }
}

function takeUrl(record: Fields, kept: ReportKept): { url: string | null; rest: Fields } {
  const { url: given = null, ...rest } = record
  const url = isMissing(given) ? null : given
  if (url !== null && typeof url !== "string") throw new UserError('"url" is not text')
  if (url === null || url.length <= longestText) return { url, rest }
  kept(`"url" has ${url.length} letters, more than ${longestText}; it is carried along unread`)
  return { url: null, rest: record }
}

/** Keys with `emb` in them whose values are gzip'd; a key that ends like one must be. */
function takeEmbeddings(
  record: Fields,
  budget: EmbeddingBudget,
): { embeddings: Map<string, Embeddings>; fields: Fields } {
  const embeddings = new Map<string, Embeddings>()
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(record)) {
    const isText = typeof value === "string"
    if (name.endsWith("_emb") || (name.includes("emb") && isText && value.startsWith(gzipStart))) {
      embeddings.set(name, decodeEmbeddings(name, value, budget))
    } else fields[name] = value
  }
  return { embeddings, fields }
}

function decodeEmbeddings(name: string, value: unknown, budget: EmbeddingBudget): Embeddings {
  const pickle = unzip(bytesOf(value, name), quoted(name), budget)
  const { dtype, shape, values } = readNumpyPickle(pickle, quoted(name))
  return matrix(name, dtype, shape, values, budget)
}

function takeSynTexts(record: Fields, embeddings: ReadonlyMap<string, Embeddings>) {
  const synTexts = new Map<string, readonly string[]>()
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(record)) {
    const texts = textList(value)
    const isSynthetic = name.startsWith("syn_text") || (texts !== null && isCaptionsName(name, embeddings))
    if (!isSynthetic) fields[name] = value
    else if (texts) synTexts.set(name, texts)
    else throw new UserError(`${quoted(name)} is not a list of captions`)
  }
  return { synTexts, fields }
}

/** Whether a key holds captions: by the rule of the reference's writer, or because it has embeddings of its own. */
function isCaptionsName(name: string, embeddings: ReadonlyMap<string, Embeddings>): boolean {
  if (["text", "texts", "caption"].includes(name)) return false
  return name.includes("_captions") || [...embeddings.keys()].some((key) => key.startsWith(`${name}_emb`))
}

function othersOf(members: unknown): Map<string, Uint8Array> {
  if (typeof members !== "object" || members === null) throw new UserError('"members" is not an object')
  return new Map(Object.entries(members).map(([extension, value]) => [extension, bytesOf(value, extension)]))
}

function bytesOf(value: unknown, name: string): Uint8Array {
  if (typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    const { buffer, byteOffset, length } = Buffer.from(value, "base64")
    return new Uint8Array(buffer, byteOffset, length)
  }
  throw new UserError(`${quoted(name)} is not base64`)
}
