/** What a picture is read from. */
import { readBytes } from "../host/files/files.ts"

/** A picture's file: its path, or its bytes with a name for messages; without bytes, the name is its path. */
export type PictureSource =
  | string
  | {
      readonly name: string
      readonly bytes: Uint8Array | null
      /** Nobody reads these bytes afterwards: a thread may have their memory, and not a copy (default: they stay as they are). */
      readonly isGiven?: boolean
    }

export interface NamedBytes {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Throws UserError where the file cannot be read. */
export async function readSource(source: PictureSource): Promise<NamedBytes> {
  const { name, bytes } = typeof source === "string" ? { name: source, bytes: null } : source
  return { name, bytes: bytes ?? (await readBytes(name)) }
}
