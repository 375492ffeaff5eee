/**
 * What a browser keeps of one model, in a folder of its own:
 *
 *     listing              what the source last said
 *     <file>.json          size and SHA-256: written last, so that it is there for whole files alone
 *     <file>.<digest>.<n>  the contents, in pieces of 4 MiB: a download that ended early goes on after the last whole one
 *
 * All are checked when they are read; what was cut or altered is removed.
 */
import { z } from "zod"
import { jsonOrNull } from "../../core/json.ts"
import { type ListedFile, type Listing, parseListing } from "./listing.ts"
import type { Store } from "./store.ts"
import { sha256, type WebHost } from "./web-host.ts"

export const pieceBytes = 2 ** 22

const record = z.object({ bytes: z.int().nonnegative(), sha256: z.string(), tag: z.string().nullable() })

type KeptRecord = Readonly<z.infer<typeof record>>

export type Found =
  | { readonly state: "whole"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly state: "absent" }
  /** It was removed. */
  | { readonly state: "damaged" }

export class KeptModel {
  constructor(
    private readonly host: WebHost,
    private readonly store: Store,
    readonly folder: string,
  ) {}

  async listing(): Promise<Listing | null> {
    return parseListing(await this.readJson("listing"))
  }

  keepListing(listing: Listing): Promise<void> {
    return this.writeJson("listing", listing)
  }

  /** Whether a file of these contents is kept, as far as its record says. */
  async has(name: string, listed: ListedFile): Promise<boolean> {
    const kept = await this.record(name)
    return kept !== null && isSame(kept, listed)
  }

  async read(name: string, listed: ListedFile): Promise<Found> {
    const kept = await this.record(name)
    if (!kept || !isSame(kept, listed)) return { state: "absent" }
    const bytes = await this.readPieces(name, kept.sha256, kept.bytes)
    if (bytes.length === kept.bytes && (await sha256(this.host, bytes)) === kept.sha256)
      return { state: "whole", bytes }
    await this.remove(name)
    return { state: "damaged" }
  }

  /** The pieces of a download that ended early, as far as they follow each other. */
  begun(name: string, digest: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.readPieces(name, digest, Math.max(0, bytes - 1))
  }

  /** Throws a QuotaExceededError where there is no room. */
  putPiece(name: string, digest: string, place: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.store.put(this.folder, pieceName(name, digest, place), bytes)
  }

  /** From here on the file is whole. */
  complete(name: string, kept: KeptRecord): Promise<void> {
    return this.writeJson(recordName(name), kept)
  }

  /** The record first: a file without pieces is never taken for whole. */
  async remove(name: string): Promise<void> {
    await this.store.remove(this.folder, recordName(name))
    const prefix = `${fileId(name)}.`
    const names = await this.store.names(this.folder)
    for (const other of names) if (other.startsWith(prefix)) await this.store.remove(this.folder, other)
  }

  /** Files, and versions of them, that the source no longer lists. */
  async removeOthers({ files }: Listing): Promise<void> {
    const listed = Object.entries(files).flatMap(([name, { sha256 }]) =>
      sha256 === null ? [`${fileId(name)}.`] : [recordName(name), `${fileId(name)}.${sha256.slice(0, 16)}.`],
    )
    for (const name of await this.store.names(this.folder)) {
      const isListed = name === "listing" || listed.some((beginning) => name.startsWith(beginning))
      if (!isListed) await this.store.remove(this.folder, name)
    }
  }

  /** Bytes of contents: whole files and begun ones. */
  async size(): Promise<number> {
    const names = await this.store.names(this.folder)
    const blobs = await Promise.all(names.map((name) => this.store.get(this.folder, name)))
    return blobs.reduce((sum, blob) => sum + (blob?.size ?? 0), 0)
  }

  /** Up to `most` bytes; fewer where a piece is missing or has another size. */
  private async readPieces(name: string, digest: string, most: number): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Blob[] = []
    for (let place = 0, left = most; left > 0; place++) {
      const piece = await this.store.get(this.folder, pieceName(name, digest, place))
      if (piece?.size !== Math.min(left, pieceBytes)) break
      pieces.push(piece)
      left -= piece.size
    }
    return new Uint8Array(await new Blob(pieces).arrayBuffer())
  }

  private async record(name: string): Promise<KeptRecord | null> {
    return record.safeParse(await this.readJson(recordName(name))).data ?? null
  }

  private async readJson(name: string): Promise<unknown> {
    return jsonOrNull((await (await this.store.get(this.folder, name))?.text()) ?? "")
  }

  private writeJson(name: string, value: unknown): Promise<void> {
    return this.store.put(this.folder, name, new TextEncoder().encode(JSON.stringify(value)))
  }
}

/** By the digest where it is listed, else by what the server says of it. */
function isSame(kept: KeptRecord, { sha256, bytes, tag }: ListedFile): boolean {
  if (sha256 !== null) return kept.sha256 === sha256
  return (bytes === null || kept.bytes === bytes) && (tag === null || kept.tag === tag)
}

function recordName(name: string): string {
  return `${fileId(name)}.json`
}

function pieceName(name: string, digest: string, place: number): string {
  return `${fileId(name)}.${digest.slice(0, 16)}.${place}`
}

/** File systems of browsers take no slashes in names. No id is the beginning of another one with its dot: dots are escaped. */
function fileId(name: string): string {
  return encodeURIComponent(name).replaceAll(".", "%2E")
}
