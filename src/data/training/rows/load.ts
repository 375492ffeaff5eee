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
import { describeLocation, type SampleLocation } from "../sources/location.ts"
import { readTarSample, type TarLocation } from "./tar-sample.ts"

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
    const name = new SampleName(location)
    const { image, ...sample } = await this.read(location, name, false)
    if (!image) throw new BadSample("no picture", `${name.text} has no picture`)
    const decoding = { name: name.text, truncated: this.truncated }
    const decoded = await asBad("damaged picture", name, () => decodeHere(image, decoding))
    return { name: name.text, image: decoded, ...sample }
  }

  /** What is said of the sample, without its picture. Throws BadSample where the sample is at fault. */
  captions(location: SampleLocation): Promise<Captions> {
    const name = new SampleName(location)
    if (location.kind === "file") {
      return asBad("damaged sample", name, async () => ({
        ...unreinforced,
        texts: await readCaptions(location.captions),
      }))
    }
    if (location.kind === "line") return this.read(location, name, true)
    const extensions = location.extensions.filter((extension) => captionMembers.includes(extension))
    return this.read({ ...location, extensions }, name, true)
  }

  [Symbol.dispose](): void {
    for (const file of this.files.values()) file.close()
    this.files.clear()
  }

  private read(location: SampleLocation, name: SampleName, isSparing: boolean): Promise<Encoded> {
    return asBad("damaged sample", name, async () => {
      switch (location.kind) {
        case "tar":
          return this.tarSample(location, name, isSparing)
        case "line":
          return this.lineSample(location)
        case "file":
          return {
            ...unreinforced,
            texts: await readCaptions(location.captions),
            image: await pictureAt(location.path),
          }
      }
    })
  }

  private async tarSample(location: TarLocation, name: SampleName, isSparing: boolean): Promise<Encoded> {
    const onKey = (key: string) => {
      name.text = `${location.path}: ${key}`
    }
    const { key, members } = readTarSample(this.open(location.path), location, { isSparing, onKey })
    return encodedOf(await sampleOfMembers(key, members))
  }

  private lineSample(location: LineLocation): Encoded {
    const line = readLine(this.open(location.path), location)
    const record = parseLine(line)
    const read = this.hasEmbeddings
      ? record
      : Object.fromEntries(Object.entries(record).filter(([name]) => !/_emb/.test(name)))
    return encodedOf(sampleOfRecord(read, line.length))
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

/** What messages call a sample: the key of a tar's is known when it is read. */
class SampleName {
  text: string

  constructor(location: SampleLocation) {
    this.text = describeLocation(location)
  }
}

type LineLocation = Extract<SampleLocation, { kind: "line" }>

const [newline, carriageReturn] = [0x0a, 0x0d]

/** With blank lines after it; a line with a picture and 36 embeddings has about 0.5 MiB. */
const mostAtOnce = 2 ** 22

/** Throws UserError where it is longer than a line may be. */
function readLine(file: OpenFile, { start, end }: LineLocation): Uint8Array {
  if (end - start <= mostAtOnce) {
    const bytes = file.read(start, end - start)
    return bytes.subarray(0, lineLength(bytes))
  }
  const length = lengthFrom(file, start, end)
  checkText(length, "its line", longestLine)
  return file.read(start, length)
}

function lineLength(bytes: Uint8Array): number {
  const end = bytes.indexOf(newline)
  const line = end < 0 ? bytes : bytes.subarray(0, end)
  const before = line.indexOf(carriageReturn)
  return before < 0 ? line.length : before
}

function lengthFrom(file: OpenFile, start: number, end: number): number {
  for (let at = start; at < end; at += 2 ** 20) {
    const bytes = file.read(at, Math.min(2 ** 20, end - at))
    const length = lineLength(bytes)
    if (length < bytes.length) return at + length - start
  }
  return end - start
}

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
  name: SampleName,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(isInputError(error) || error instanceof SyntaxError)) throw error
    const message = messageOf(error)
    throw new BadSample(reason, message.startsWith(name.text) ? message : `${name.text}: ${message}`)
  }
}
