/** Samples of a JSONL shard by where their lines begin. A compressed one is unpacked to a temporary file. */
import { join } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { parseExactJson } from "../../../data/json-text.ts"
import { keyOfRecord, sampleOfRecord } from "../../../data/reinforced/jsonl/json-record.ts"
import { type Compression, decodeLine, readLines } from "../../../data/reinforced/jsonl/lines.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { type OpenFile, openRandomAccess, writeAtomically } from "../../../host/files/files.ts"
import { type TemporaryFolder, temporaryFolder } from "../../../host/files/temporary.ts"
import type { RandomShard, SampleLocation } from "./random-shard.ts"

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

  /** Lines that cannot be read, or are not an object with a key, are passed over: nothing can be joined to them. */
  async *locations(): AsyncGenerator<SampleLocation> {
    for await (const { text, start, bytes } of readLines(this.path, "none")) {
      const key = text === null ? null : keyOf(text)
      if (key !== null) yield { key, start, length: bytes }
    }
  }

  async read({ start, length }: SampleLocation): Promise<ReinforcedSample> {
    const text = decodeLine(this.file.read(start, length))
    if (text === null) throw new UserError("its line is not UTF-8: it has changed")
    return sampleOfRecord(parseExactJson(text) as Record<string, unknown>, length)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.file.close()
    this.temporary?.[Symbol.dispose]()
  }
}

async function* unpacked(path: string, compression: Compression): AsyncGenerator<string> {
  for await (const { text } of readLines(path, compression)) if (text !== null) yield `${text}\n`
}

function keyOf(text: string): string | null {
  try {
    return keyOfRecord(parseExactJson(text) as Record<string, unknown>)
  } catch {
    return null
  }
}
