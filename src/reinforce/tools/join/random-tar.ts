/** Samples of a tar by their position in it. */
import { bytesAsSource } from "../../../core/containers/safetensors.ts"
import { UserError } from "../../../core/errors.ts"
import { embeddingExtensions } from "../../../data/reinforced/embeddings.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { checkText, largestSample } from "../../../data/reinforced/sample-budget.ts"
import { sampleOfMembers } from "../../../data/reinforced/tar/members.ts"
import { splitName } from "../../../data/reinforced/tar/tar-head.ts"
import { indexTar } from "../../../data/reinforced/tar/tar-index.ts"
import { TarWalk } from "../../../data/reinforced/tar/tar-walk.ts"
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
    const members = membersIn(this.file.read(location.start, location.length), location.key)
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
function membersIn(bytes: Uint8Array, key: string): Map<string, Uint8Array> {
  const members = new Map<string, Uint8Array>()
  for (const entry of new TarWalk(bytesAsSource(key, bytes)).entries()) {
    const name = splitName(entry)
    if (name?.key !== key || members.has(name.extension)) continue
    members.set(name.extension, bytes.slice(entry.offset, entry.offset + entry.size))
  }
  return members
}
