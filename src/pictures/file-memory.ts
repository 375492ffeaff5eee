/**
 * Memory for files of pictures that go to threads and come back with the answer. New memory for each file would wait for the
 * garbage collections of several threads, which come after tens of megabytes each, and leave the allocator in pieces.
 */
import { readBytesInto } from "../host/files/files.ts"
import type { NamedBytes, PictureSource } from "./source.ts"

/** Most files fit into the smallest piece; each larger size is twice the one before. */
const leastBytes = 2 ** 18
/** Larger pieces are rare, and are not kept. */
const mostBytes = 2 ** 22

export class FileMemory {
  private readonly spares: ArrayBuffer[] = []

  /** A file's bytes in memory that can be handed on. Throws UserError where it cannot be read. */
  async read(source: PictureSource): Promise<NamedBytes> {
    if (typeof source === "string")
      return { name: source, bytes: await readBytesInto(source, (bytes) => this.take(bytes)) }
    const { name, bytes } = source
    const copy = new Uint8Array(this.take(bytes.length), 0, bytes.length)
    copy.set(bytes)
    return { name, bytes: copy }
  }

  giveBack(memory: readonly ArrayBuffer[]): void {
    this.spares.push(...memory.filter(({ byteLength }) => byteLength <= mostBytes))
  }

  /** Pieces have sizes of their own: if small files took large pieces, in time all would be large. */
  private take(bytes: number): ArrayBuffer {
    const size = Math.max(leastBytes, 2 ** Math.ceil(Math.log2(bytes)))
    const spare = this.spares.findIndex(({ byteLength }) => byteLength === size)
    return spare === -1 ? new ArrayBuffer(size) : this.spares.splice(spare, 1)[0]!
  }
}
