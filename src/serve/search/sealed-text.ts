/**
 * Texts that a client keeps and sends back, and neither reads nor changes: an index's cursor tells its query by a hash, in which
 * paths are that could be guessed, and is trusted where it comes back. AES-256-GCM.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"

const algorithm = "aes-256-gcm"
const [nonceBytes, tagBytes] = [12, 16]

/** @param key 32 bytes */
export function sealText(key: Uint8Array, text: string): string {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(algorithm, key, nonce)
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64url")
}

/** Null where the text was not sealed with this key, or was changed. */
export function openText(key: Uint8Array, sealed: string): string | null {
  const bytes = Buffer.from(sealed, "base64url")
  if (bytes.length < nonceBytes + tagBytes) return null
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
  try {
    const body = decipher.update(bytes.subarray(nonceBytes + tagBytes))
    return Buffer.concat([body, decipher.final()]).toString("utf8")
  } catch {
    return null
  }
}
