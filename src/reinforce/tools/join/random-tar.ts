/** Samples of a tar by their position in it. */
import { Readable } from "node:stream"
import { UserError } from "../../../core/errors.ts"
import { embeddingExtensions } from "../../../data/reinforced/embeddings.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { checkText, largestSample } from "../../../data/reinforced/sample-budget.ts"
import { sampleOfMembers } from "../../../data/reinforced/tar/members.ts"
import { indexTar } from "../../../data/reinforced/tar/tar-index.ts"
import { checkHeader, openTar, splitName } from "../../../data/shards.ts"
import { type OpenFile, openRandomAccess } from "../../../host/files/files.ts"
import type { RandomShard, SampleLocation } from "./random-shard.ts"

const block = 512

export class RandomTar implements RandomShard {
  private readonly file: OpenFile

  constructor(path: string) {
    this.file = openRandomAccess(path)
  }

  /** Those before the damage, where an archive is damaged. A sample begins where the one before it ends: with headers. */
  async *locations(): AsyncGenerator<SampleLocation> {
    const { samples } = await indexTar(this.file)
    const members = [...samples.values()].flat().sort((a, b) => a.offset - b.offset)
    const locations = new Map<string, { start: number; end: number }>()
    let before = 0
    for (const { key, offset, size } of members) {
      const end = offset + Math.ceil(size / block) * block
      const location = locations.get(key)
      if (location) location.end = end
      else locations.set(key, { start: before, end })
      before = end
    }
    for (const [key, { start, end }] of locations) if (end <= this.file.size) yield { key, start, length: end - start }
  }

  async read(location: SampleLocation, { packed }: { readonly packed: boolean }): Promise<ReinforcedSample> {
    checkText(location.length, "what its members lie in", largestSample)
    const members = await membersIn(this.file.read(location.start, location.length), location.key)
    if (members.size === 0) throw new UserError(`${this.file.name} has changed: ${location.key} is not where it was`)
    const extensions = packed ? Object.values(embeddingExtensions).filter((extension) => members.has(extension)) : []
    const kept = extensions.map((extension) => [extension, members.get(extension)!] as const)
    for (const extension of extensions) members.delete(extension)
    const sample = await sampleOfMembers(location.key, members)
    return { ...sample, others: new Map([...sample.others, ...kept]) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.file.close()
  }
}

/** Members of one sample, by extension; of two with one name, the first. */
async function membersIn(bytes: Uint8Array, key: string): Promise<Map<string, Uint8Array>> {
  const members = new Map<string, Uint8Array>()
  for await (const entry of Readable.from([bytes]).pipe(openTar())) {
    const name = splitName(checkHeader(entry.header))
    if (name?.key !== key || members.has(name.extension)) {
      entry.resume()
      continue
    }
    const chunks: Uint8Array[] = []
    for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk)
    members.set(name.extension, Buffer.concat(chunks))
  }
  return members
}
