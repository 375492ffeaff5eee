/** What the bytes of a tar are spent on, by kind of member. */
import { shardFormat } from "../../../data/reinforced/read.ts"
import { indexTar } from "../../../data/reinforced/tar/tar-index.ts"
import { openRandomAccess } from "../../../host/files/files.ts"

export interface MemberBytes {
  readonly files: number
  readonly bytes: number
}

/** Adds the members of a local shard by extension, none for JSONL -> bytes of the file. Throws UserError on no shard. */
export async function addMembers(path: string, totals: Map<string, MemberBytes>): Promise<number> {
  const file = openRandomAccess(path)
  try {
    if (shardFormat(file) !== "tar") return file.size
    const { samples } = await indexTar(file)
    for (const { extension, size } of [...samples.values()].flat()) {
      const { files, bytes } = totals.get(extension) ?? { files: 0, bytes: 0 }
      totals.set(extension, { files: files + 1, bytes: bytes + size })
    }
    return file.size
  } finally {
    file.close()
  }
}
