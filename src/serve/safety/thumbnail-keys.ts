/**
 * Keys of thumbnails, for servers that ask for tokens: an <img> of a page cannot bring one. A search, which needs the token, gives the
 * addresses of what it found with a key that opens this one picture for an hour or two, and nothing else.
 */
import { createHmac, timingSafeEqual } from "node:crypto"

/** Milliseconds. A key is the same within such a time, so that a browser knows what it has. */
const period = 3_600_000

const path = /^\/v1\/search\/thumbnail\/([^/]+)$/

export class ThumbnailKeys {
  /** @param secret 32 bytes, which no other process knows */
  constructor(
    private readonly secret: Uint8Array,
    private readonly now: () => number = Date.now,
  ) {}

  /** The address of a picture's thumbnail, with its key. */
  addressOf(id: string): string {
    return `/v1/search/thumbnail/${id}?key=${this.keyOf(id, this.time())}`
  }

  /** Whether an address has the key of its picture, of this period or the one before. */
  opens(address: URL): boolean {
    const [, id] = path.exec(address.pathname) ?? []
    const key = Buffer.from(address.searchParams.get("key") ?? "")
    if (id === undefined || key.length === 0) return false
    const expected = [this.time(), this.time() - 1].map((time) => Buffer.from(this.keyOf(id, time)))
    return expected.map((each) => each.length === key.length && timingSafeEqual(each, key)).includes(true)
  }

  private time(): number {
    return Math.floor(this.now() / period)
  }

  private keyOf(id: string, time: number): string {
    return createHmac("sha256", this.secret).update(`thumbnail ${id} ${time}`).digest("base64url")
  }
}
