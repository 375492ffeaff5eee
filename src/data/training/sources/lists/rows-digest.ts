/** The digest of what rows say: names of pictures within the folder that holds all, and captions, in their order. */
import { createHash } from "node:crypto"
import type { Spans } from "./row-format.ts"

/** Bytes that are written in JSON as they are. */
const isClean = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x20 && byte !== 0x22 && byte !== 0x5c ? 1 : 0))

const [rowStart, rowMiddle, rowEnd] = ['["', '",["', '"]]\n'].map((text) => Buffer.from(text)) as [
  Buffer,
  Buffer,
  Buffer,
]

export class RowsDigest {
  private readonly hash
  private readonly folder: string
  /** What relative names begin with, as JSON without quotes. */
  private readonly between: Buffer
  /** Gathered first, because a call for each of millions would take longer than the hash. */
  private readonly gathered = Buffer.alloc(2 ** 16)
  private length = 0

  /**
   * @param beginning what is hashed before the rows
   * @param folder that holds all, with its last slash
   * @param between what stands before names that are given as bytes
   */
  constructor(beginning: string, folder: string, between = "") {
    this.hash = createHash("sha256").update(beginning)
    this.folder = folder
    this.between = Buffer.from(JSON.stringify(between).slice(1, -1))
  }

  /** @param captions null where they are in a file of their own */
  add(path: string, captions: readonly string[] | null): void {
    const row = `${JSON.stringify([path.slice(this.folder.length), captions])}\n`
    if (3 * row.length > this.gathered.length - this.length) this.flush()
    if (3 * row.length > this.gathered.length) this.hash.update(row)
    else this.length += this.gathered.write(row, this.length)
  }

  /**
   * The same of a row's bytes; false where they are not written in JSON as they are: nothing was added then.
   *
   * @param name where the picture's name begins
   * @param isRelative whether `between` stands before it
   */
  addBytes(
    bytes: Uint8Array,
    { imageEnd, captionStart, captionEnd }: Spans,
    name: number,
    isRelative: boolean,
  ): boolean {
    const most = this.between.length + imageEnd - name + captionEnd - captionStart + 16
    if (most > this.gathered.length - this.length) this.flush()
    if (most > this.gathered.length) return false
    const before = this.length
    this.put(rowStart)
    if (isRelative) this.put(this.between)
    if (this.copy(bytes, name, imageEnd)) {
      this.put(rowMiddle)
      if (this.copy(bytes, captionStart, captionEnd)) {
        this.put(rowEnd)
        return true
      }
    }
    this.length = before
    return false
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    this.flush()
    return this.hash.digest("hex").slice(0, 16)
  }

  private put(bytes: Uint8Array): void {
    const { gathered } = this
    let at = this.length
    for (let i = 0; i < bytes.length; i++) gathered[at++] = bytes[i]!
    this.length = at
  }

  private copy(bytes: Uint8Array, start: number, end: number): boolean {
    const { gathered } = this
    let at = this.length
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!
      if (isClean[byte] === 0) return false
      gathered[at++] = byte
    }
    this.length = at
    return true
  }

  private flush(): void {
    this.hash.update(this.gathered.subarray(0, this.length))
    this.length = 0
  }
}
