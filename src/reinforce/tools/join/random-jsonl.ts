/** Samples of a JSONL shard by where their lines begin. A compressed one is unpacked to a temporary file. */
import { createReadStream } from "node:fs"
import { join } from "node:path"
import { parseJsonText } from "../../../data/json-text.ts"
import { keyOfRecord, sampleOfRecord } from "../../../data/reinforced/jsonl/json-record.ts"
import { type Compression, longestLine, readLines } from "../../../data/reinforced/jsonl/lines.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { type OpenFile, openRandomAccess, writeAtomically } from "../../../host/files/files.ts"
import { type TemporaryFolder, temporaryFolder } from "../../../host/files/temporary.ts"
import type { RandomShard, SampleLocation } from "./random-shard.ts"

const newline = 0x0a

export class RandomJsonl implements RandomShard {
  private constructor(
    private readonly path: string,
    private readonly file: OpenFile,
    private readonly temporary: TemporaryFolder | null,
  ) {}

  static async open(path: string, compression: Compression): Promise<RandomJsonl> {
    if (compression === "none") return new RandomJsonl(path, openRandomAccess(path), null)
    const folder = temporaryFolder("lines")
    try {
      const plain = join(folder.path, "lines.jsonl")
      await writeAtomically(plain, unpacked(path, compression))
      return new RandomJsonl(plain, openRandomAccess(plain), folder)
    } catch (error) {
      folder[Symbol.dispose]()
      throw error
    }
  }

  /** Lines that are too long or not an object with a key are passed over: nothing can be joined to them. */
  async *locations(): AsyncGenerator<SampleLocation> {
    for await (const { text, start, length } of positionedLines(this.path)) {
      const key = keyOf(text)
      if (key !== null) yield { key, start, length }
    }
  }

  async read({ start, length }: SampleLocation): Promise<ReinforcedSample> {
    const record = parseJsonText(new TextDecoder().decode(this.file.read(start, length)))
    return sampleOfRecord(record as Record<string, unknown>, length)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.file.close()
    this.temporary?.[Symbol.dispose]()
  }
}

async function* unpacked(path: string, compression: Compression): AsyncGenerator<string> {
  for await (const { text } of readLines(path, compression)) if (text !== null) yield `${text}\n`
}

/** What is not a line of a shard, because it is too long, has an empty text. */
async function* positionedLines(path: string): AsyncGenerator<{ text: string; start: number; length: number }> {
  let parts: Uint8Array[] = []
  let [start, length] = [0, 0]
  const take = () => {
    const line = { text: length > longestLine ? "" : Buffer.concat(parts).toString("utf8"), start, length }
    start += length + 1
    ;[parts, length] = [[], 0]
    return line
  }
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      parts.push(chunk.subarray(from, end))
      length += end - from
      yield take()
      from = end + 1
    }
    parts.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > longestLine) parts = []
  }
  if (length > 0) yield take()
}

function keyOf(text: string): string | null {
  try {
    return keyOfRecord(parseJsonText(text) as Record<string, unknown>)
  } catch {
    return null
  }
}
