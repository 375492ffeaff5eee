/** A file, or bytes, to read parts of. */
export interface RandomAccess {
  /** For error messages: a path or an address. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Exactly `length` bytes, which the caller may keep. */
  read(offset: number, length: number): Uint8Array
  /** Fills `bytes`, where the source can write into memory that is there: for many small reads. */
  readInto?(offset: number, bytes: Uint8Array): void
}
