/**
 * A sample as members of a tar, by extension (apple/ml-mobileclip-dr raygen/datasetio.py @418551d and the released
 * DataCompDR): the picture, `txt`, `url.txt`, `json`, `syn.json`, `paug.json` and one member of embeddings.
 */
import { isInputError, UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { decodeText } from "../../../core/text/decode-text.ts"
import { parseParamAug } from "../../augment/stored.ts"
import { formatExactJson, parseExactJson, parseJson } from "../../json-text.ts"
import { checkRows } from "../check-rows.ts"
import {
  type EmbeddingKind,
  embeddingExtensions,
  embeddingKinds,
  readEmbeddings,
  writeEmbeddings,
} from "../embeddings.ts"
import { type Embeddings, type EncodedImage, pictureExtensions, type ReinforcedSample } from "../sample.ts"
import { checkSampleSize, checkText, cutText, longestText } from "../sample-budget.ts"

/** Bytes of a JSON member. All captions, views and notes of a sample together have about 5 KiB. */
const longestJson = 2 ** 24

/** Bytes that are read of a caption's member. A letter (of UTF-16) takes at most 3. */
const readOfText = 3 * longestText + 4

/** Is told what is wrong with a sample that is read all the same. */
export type ReportKept = (reason: string) => void

type Members = ReadonlyMap<string, Uint8Array>
type Fields = Readonly<Record<string, unknown>>

/** Extensions of members that are read here, beside pictures. */
export const memberExtensions: readonly string[] = [
  ...["txt", "url.txt", "json", "syn.json", "paug.json"],
  ...Object.values(embeddingExtensions),
]

/**
 * Throws a UserError that names the damaged member. A picture or a caption may be missing. Members that a sample can do
 * without do not lose it: a very long caption is cut, and a URL that cannot be read, or a `json` beside a picture and a
 * caption, is carried along unread.
 */
export async function sampleOfMembers(
  key: string,
  members: Members,
  kept: ReportKept = () => {},
): Promise<ReinforcedSample> {
  checkSampleSize([...members.values()].map(({ length }) => length))
  const image = pictureOf(members)
  const unread = new Set<string>()
  const orUnread = <T>(extension: string, read: () => T): T | null => {
    try {
      return read()
    } catch (error) {
      if (!isInputError(error)) throw error
      unread.add(extension)
      kept(`${error.message}; it is carried along unread`)
      return null
    }
  }
  const captions = captionsOf(members, image !== null, orUnread)
  const { texts, fields, synTexts } = cutCaptions({ ...captions, synTexts: synTextsOf(members) }, kept)
  const url = orUnread("url.txt", () => textOf(members, "url.txt", longestText)?.trim()) ?? urlOfFields(fields)
  const sample: ReinforcedSample = {
    ...{ key, image, url, texts, fields, synTexts, paramAug: paramAugOf(members) },
    embeddings: await embeddingsOf(members),
    others: othersOf(members, image, unread),
  }
  checkRows(sample)
  return sample
}

/** Sorted members of a sample; equal samples give equal bytes. */
export function membersOfSample(sample: ReinforcedSample, embeddings: EmbeddingKind): Map<string, Uint8Array> {
  const { image, url, texts, synTexts, paramAug } = sample
  const members = new Map(sample.others)
  const put = (extension: string, text: string) => members.set(extension, Buffer.from(text))
  if (image) members.set(image.extension, image.bytes)
  if (url !== null) put("url.txt", url)
  if (texts.length === 1) put("txt", texts[0]!)
  // `txt` holds one caption, so several go into the json member.
  const fields = texts.length > 1 ? { ...sample.fields, texts } : sample.fields
  if (Object.keys(fields).length > 0) put("json", formatExactJson(fields))
  if (synTexts.size > 0) put("syn.json", JSON.stringify(Object.fromEntries(synTexts)))
  if (paramAug) put("paug.json", JSON.stringify({ param_aug: paramAug }))
  if (sample.embeddings.size > 0) {
    members.set(embeddingExtensions[embeddings], writeEmbeddings(embeddings, sample.embeddings))
  }
  return members
}

// ------------------------------------------------------------------------------------------------------ reading

function pictureOf(members: Members): EncodedImage | null {
  const extension = pictureExtensions.find((candidate) => members.has(candidate))
  if (!extension) return null
  return { extension: /^(jpeg|jfif|jpe)$/.test(extension) ? "jpg" : extension, bytes: members.get(extension)! }
}

type OrUnread = <T>(extension: string, read: () => T) => T | null

/** The `txt` member, else the captions in the json member, which then are not among its fields. */
function captionsOf(
  members: Members,
  hasImage: boolean,
  orUnread: OrUnread,
): { texts: readonly string[]; fields: Fields } {
  const text = captionOf(members)
  const read = () => jsonOf(members, "json")
  if (text === null) return takeTexts(read() ?? {})
  return { texts: [text], fields: (hasImage ? orUnread("json", read) : read()) ?? {} }
}

/** As much of the member as is read. */
function captionOf(members: Members): string | null {
  const bytes = members.get("txt")
  return bytes ? decodeText(bytes.subarray(0, readOfText), "txt", bytes.length > readOfText) : null
}

function urlOfFields({ url }: Fields): string | null {
  return typeof url === "string" && url.length <= longestText ? url : null
}

/** Cuts very long captions and tells `kept`. */
export function cutCaptions<T extends Pick<ReinforcedSample, "texts" | "synTexts">>(sample: T, kept: ReportKept): T {
  let count = 0
  for (const text of captionsIn(sample)) if (text.length > longestText) count++
  if (count === 0) return sample
  kept(`${count === 1 ? "a caption is" : `${count} captions are`} cut after ${longestText} letters`)
  const synTexts = [...sample.synTexts].map(([key, texts]) => [key, texts.map(cutText)] as const)
  return { ...sample, texts: sample.texts.map(cutText), synTexts: new Map(synTexts) }
}

/** Captions under `text`, `texts` or `caption`, a text or a list, and the fields without them. */
export function takeTexts(fields: Fields): { texts: readonly string[]; fields: Fields } {
  for (const name of ["text", "texts", "caption"]) {
    const texts = textList(fields[name])
    if (!texts) continue
    const { [name]: _, ...rest } = fields
    return { texts, fields: rest }
  }
  return { texts: [], fields }
}

/** A list of texts, or one text as a list of it; null for anything else. */
export function textList(value: unknown): readonly string[] | null {
  if (typeof value === "string") return [value]
  return Array.isArray(value) && value.every((text) => typeof text === "string") ? value : null
}

function synTextsOf(members: Members): Map<string, readonly string[]> {
  const entries = Object.entries(jsonOf(members, "syn.json") ?? {}).map(([key, value]) => {
    const texts = textList(value)
    if (!texts) throw new UserError(`syn.json: ${JSON.stringify(key)} is not a list of captions`)
    return [key, texts] as const
  })
  return new Map(entries)
}

function paramAugOf(members: Members): ReinforcedSample["paramAug"] {
  const value = jsonOf(members, "paug.json")
  if (!value) return null
  if (!Object.hasOwn(value, "param_aug")) throw new UserError("paug.json has no param_aug")
  return parseParamAug(value.param_aug, "paug.json")
}

async function embeddingsOf(members: Members): Promise<Map<string, Embeddings>> {
  const kind = embeddingKinds.find((candidate) => members.has(embeddingExtensions[candidate]))
  return kind ? readEmbeddings(kind, members.get(embeddingExtensions[kind])!) : new Map()
}

/** A second picture is carried along as well. */
function othersOf(members: Members, image: EncodedImage | null, unread: ReadonlySet<string>): Map<string, Uint8Array> {
  const isOther = ([extension, bytes]: [string, Uint8Array]) =>
    unread.has(extension) || (!memberExtensions.includes(extension) && bytes !== image?.bytes)
  return new Map([...members].filter(isOther))
}

/** All captions of a sample. */
function* captionsIn({ texts, synTexts }: Pick<ReinforcedSample, "texts" | "synTexts">): Generator<string> {
  yield* texts
  for (const captions of synTexts.values()) yield* captions
}

function textOf(members: Members, extension: string, longest: number): string | null {
  const bytes = members.get(extension)
  if (!bytes) return null
  checkText(bytes.length, extension, longest)
  return decodeText(bytes, extension)
}

function jsonOf(members: Members, extension: string): Fields | null {
  const text = textOf(members, extension, longestJson)
  if (text === null) return null
  const value = parseJson(text, extension, parseExactJson)
  if (isObject(value)) return value
  throw new UserError(`${extension} is not an object`)
}
