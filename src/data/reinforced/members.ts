/**
 * A sample as members of a tar, by extension (apple/ml-mobileclip-dr raygen/datasetio.py @418551d and the released
 * DataCompDR): the picture, `txt`, `url.txt`, `json`, `syn.json`, `paug.json` and one member of embeddings.
 */
import { messageOf, UserError } from "../../core/errors.ts"
import { parseParamAug } from "../augment/stored.ts"
import { parseJsonText } from "../json-text.ts"
import { checkRows } from "./check-rows.ts"
import {
  type EmbeddingKind,
  embeddingExtensions,
  embeddingKinds,
  readEmbeddings,
  writeEmbeddings,
} from "./embeddings.ts"
import { pictureExtensions } from "./picture.ts"
import type { Embeddings, EncodedImage, ReinforcedSample } from "./sample.ts"
import { checkSampleSize, checkText, longestText } from "./sample-budget.ts"

/** Of a JSON member in bytes: all captions, views and notes of a sample have some 5 KiB. */
const longestJson = 2 ** 23

type Members = ReadonlyMap<string, Uint8Array>
type Fields = Readonly<Record<string, unknown>>

/** Extensions of members that are read here, beside pictures. */
export const memberExtensions: readonly string[] = [
  ...["txt", "url.txt", "json", "syn.json", "paug.json"],
  ...Object.values(embeddingExtensions),
]

/** Throws a UserError that says what is wrong with which member. Whether there is a picture or a caption is not asked. */
export async function sampleOfMembers(key: string, members: Members): Promise<ReinforcedSample> {
  checkSampleSize([...members.values()].map(({ length }) => length))
  const image = pictureOf(members)
  const { texts, fields } = captionsOf(members)
  const url = textOf(members, "url.txt")?.trim() ?? (typeof fields.url === "string" ? fields.url : null)
  const sample: ReinforcedSample = {
    ...{ key, image, url, texts, fields, synTexts: synTextsOf(members), paramAug: paramAugOf(members) },
    embeddings: await embeddingsOf(members),
    others: othersOf(members, image),
  }
  for (const text of captionsIn(sample)) checkText(text.length, "a caption")
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
  // `txt` holds one caption, so several go where a list can be.
  const fields = texts.length > 1 ? { ...sample.fields, texts } : sample.fields
  if (Object.keys(fields).length > 0) put("json", JSON.stringify(fields))
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
  return { extension: extension === "jpeg" ? "jpg" : extension, bytes: members.get(extension)! }
}

/** The `txt` member, else what the json member has of captions, which then is no field. */
function captionsOf(members: Members): { texts: readonly string[]; fields: Fields } {
  const text = textOf(members, "txt")
  const fields = jsonOf(members, "json") ?? {}
  return text === null ? takeTexts(fields) : { texts: [text], fields }
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
function othersOf(members: Members, image: EncodedImage | null): Map<string, Uint8Array> {
  const isOther = ([extension, bytes]: [string, Uint8Array]) =>
    !memberExtensions.includes(extension) && bytes !== image?.bytes
  return new Map([...members].filter(isOther))
}

/** All captions of a sample. */
export function* captionsIn({ texts, synTexts }: Pick<ReinforcedSample, "texts" | "synTexts">): Generator<string> {
  yield* texts
  for (const captions of synTexts.values()) yield* captions
}

function textOf(members: Members, extension: string, longest = longestText): string | null {
  const bytes = members.get(extension)
  if (!bytes) return null
  checkText(bytes.length, extension, longest)
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw new UserError(`${extension} is not UTF-8`)
  }
}

function jsonOf(members: Members, extension: string): Fields | null {
  const text = textOf(members, extension, longestJson)
  if (text === null) return null
  const value = parseJson(text, extension)
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields
  throw new UserError(`${extension} is not an object`)
}

function parseJson(text: string, extension: string): unknown {
  try {
    return parseJsonText(text)
  } catch (error) {
    throw new UserError(`${extension} is damaged (${messageOf(error)})`)
  }
}
