/** A file, or bytes, to read parts of. */
export interface RandomAccess {
  /** For error messages: a path or an address. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Exactly `length` bytes, which the caller may keep. */
  read(offset: number, length: number): Uint8Array
}
