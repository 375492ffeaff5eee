/** A sample from where it lies to what rows are made of: the decoded picture, captions, stored views and embeddings. */
import { EnvironmentError, isInputError, messageOf, UserError } from "../../../core/errors.ts"
import { isObject } from "../../../core/json.ts"
import { type OpenFile, openRandomAccess, readBytesIfThere } from "../../../host/files/files.ts"
import { type DecodedImage, decodeHere } from "../../../host/image/images.ts"
import type { Truncated } from "../../../host/image/picture-format.ts"
import { parseExactJson } from "../../json-text.ts"
import { sampleOfRecord } from "../../reinforced/jsonl/json-record.ts"
import { decodeLine, longestLine } from "../../reinforced/jsonl/lines.ts"
import type { ReinforcedSample } from "../../reinforced/sample.ts"
import { checkSampleSize, checkText, cutText } from "../../reinforced/sample-budget.ts"
import { sampleOfMembers } from "../../reinforced/tar/members.ts"
import { BadSample } from "../bad-samples.ts"
import { readCaptions } from "../sources/captions.ts"
import { describeLocation, type MemberLocation, type SampleLocation } from "../sources/location.ts"

export interface TrainingSample extends Pick<ReinforcedSample, "texts" | "synTexts" | "paramAug" | "embeddings"> {
  /** For messages. */
  readonly name: string
  readonly image: DecodedImage
  /** `caption` of the json member. */
  readonly precise: string | null
}

export type Captions = Pick<TrainingSample, "texts" | "synTexts" | "precise">

/** Members of a tar that hold captions. */
const captionMembers: readonly string[] = ["txt", "json", "syn.json"]

/** Open files, closed when many others were used since. */
const mostOpen = 64

export class SampleLoader implements Disposable {
  private readonly files = new Map<string, OpenFile>()

  /** @param hasEmbeddings whether those of JSONL are unpacked; of a tar, only the members asked for are read */
  constructor(
    private readonly hasEmbeddings: boolean,
    private readonly truncated: Truncated = "accept",
  ) {}

  /** Throws BadSample where the sample is at fault. */
  async load(location: SampleLocation): Promise<TrainingSample> {
    const name = describeLocation(location)
    const { image, ...sample } = await this.read(location, name)
    if (!image) throw new BadSample("no picture", `${name} has no picture`)
    const decoded = await asBad("damaged picture", name, () => decodeHere(image, { name, truncated: this.truncated }))
    return { name, image: decoded, ...sample }
  }

  /** What is said of the sample, without its picture. Throws BadSample where the sample is at fault. */
  captions(location: SampleLocation): Promise<Captions> {
    const isCaption = ({ extension }: MemberLocation) => captionMembers.includes(extension)
    const read = location.kind === "tar" ? { ...location, members: location.members.filter(isCaption) } : location
    const name = describeLocation(location)
    if (read.kind === "file") {
      return asBad("damaged sample", name, async () => ({ ...unreinforced, texts: await readCaptions(read.captions) }))
    }
    return this.read(read, name)
  }

  [Symbol.dispose](): void {
    for (const file of this.files.values()) file.close()
    this.files.clear()
  }

  private read(location: SampleLocation, name: string): Promise<Encoded> {
    return asBad("damaged sample", name, async () => {
      switch (location.kind) {
        case "tar":
          return encodedOf(await sampleOfMembers(location.key, this.members(location.path, location.members)))
        case "line":
          return encodedOf(sampleOfRecord(this.record(location), location.length))
        case "file":
          return {
            ...unreinforced,
            texts: await readCaptions(location.captions),
            image: await pictureAt(location.path),
          }
      }
    })
  }

  private record({ path, offset, length }: LineLocation): Readonly<Record<string, unknown>> {
    checkText(length, "its line", longestLine)
    const record = parseLine(this.open(path).read(offset, length))
    if (this.hasEmbeddings) return record
    return Object.fromEntries(Object.entries(record).filter(([name]) => !/_emb/.test(name)))
  }

  /** Members lie side by side as a rule: then one read gets them all. */
  private members(path: string, members: readonly MemberLocation[]): Map<string, Uint8Array> {
    checkSampleSize(members.map(({ size }) => size))
    if (members.length === 0) return new Map()
    const file = this.open(path)
    const start = members.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY)
    const end = members.reduce((most, { offset, size }) => Math.max(most, offset + size), 0)
    const bytes = members.reduce((sum, { size }) => sum + size, 0)
    // Heads lie between members, and what was not asked for.
    const all = end - start <= 2 * bytes + 2 ** 16 ? file.read(start, end - start) : null
    const read = ({ offset, size }: MemberLocation) =>
      all ? all.subarray(offset - start, offset - start + size) : file.read(offset, size)
    return new Map(members.map((member) => [member.extension, read(member)]))
  }

  private open(path: string): OpenFile {
    const file = this.files.get(path) ?? openShard(path)
    this.files.delete(path)
    this.files.set(path, file)
    if (this.files.size > mostOpen) {
      const [oldest, unused] = this.files.entries().next().value!
      this.files.delete(oldest)
      unused.close()
    }
    return file
  }
}

/** It was there when its samples were counted: none of them is at fault where it has gone. */
function openShard(path: string): OpenFile {
  try {
    return openRandomAccess(path)
  } catch (error) {
    if (!(error instanceof UserError && codeOf(error) === "ENOENT")) throw error
    throw new EnvironmentError(
      `${path}, which is being trained on, was removed`,
      "go on from the last checkpoint with --resume",
    )
  }
}

type LineLocation = Extract<SampleLocation, { kind: "line" }>

/** A sample whose picture is still a file's bytes. */
type Encoded = Omit<TrainingSample, "image" | "name"> & { readonly image: Uint8Array | null }

const unreinforced = { synTexts: new Map(), paramAug: null, embeddings: new Map(), precise: null } as const

/** What is not used in training is let go. */
function encodedOf({ texts, synTexts, paramAug, embeddings, fields, image }: ReinforcedSample): Encoded {
  const precise = typeof fields.caption === "string" ? cutText(fields.caption) : null
  return { texts, synTexts, paramAug, embeddings, precise, image: image?.bytes ?? null }
}

function parseLine(bytes: Uint8Array): Record<string, unknown> {
  const text = decodeLine(bytes)
  if (text === null) throw new UserError("its line is not UTF-8")
  const value = parseExactJson(text)
  if (isObject(value)) return value
  throw new UserError("no object")
}

/** A picture that may not be read is one sample's matter, though other files that may not be read are the machine's. */
async function pictureAt(path: string): Promise<Uint8Array | null> {
  try {
    return await readBytesIfThere(path, (size) => checkSampleSize([size]))
  } catch (error) {
    if (!(error instanceof UserError && isForbidden(error))) throw error
    throw new UserError(error.message, error.hint)
  }
}

function isForbidden(error: UserError): boolean {
  return ["EACCES", "EPERM"].includes(codeOf(error))
}

function codeOf({ cause }: UserError): string {
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? ""
}

/** What a damaged sample throws; whatever else goes wrong is not its fault. */
async function asBad<T>(
  reason: "damaged sample" | "damaged picture",
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(isInputError(error) || error instanceof SyntaxError)) throw error
    const message = messageOf(error)
    throw new BadSample(reason, message.startsWith(name) ? message : `${name}: ${message}`)
  }
}
