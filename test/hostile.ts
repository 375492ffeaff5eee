/** Small files that ask for much: what one would be read to grows with numbers, not with its bytes. */
import { crc32, deflateRawSync, gzipSync } from "node:zlib"
import { numpyPickle } from "../src/core/containers/numpy-pickle.ts"
import { npzBytes } from "../src/host/containers/npz.ts"
import { type Pickled, tensorOf, torchArchive } from "./torch-archive.ts"

const packedZeros = new Map<number, Uint8Array>()

/** Raw deflate of zeros: a thousandth of them. */
function deflatedZeros(length: number): Uint8Array {
  const packed = packedZeros.get(length) ?? deflateRawSync(new Uint8Array(length), { level: 9 })
  packedZeros.set(length, packed)
  return packed
}

export interface Arrays {
  readonly count: number
  readonly rows: number
  readonly width: number
}

/** Compact embeddings of zeros; more than `most` bytes of them are announced and not there. */
export function compactZeros({ count, rows, width }: Arrays, most = 2 ** 24): Uint8Array {
  const planes = deflatedZeros(Math.min(2 * rows * width, most))
  const parts: Uint8Array[] = [Buffer.from("CEMB"), Uint8Array.of(1, count)]
  for (let i = 0; i < count; i++) {
    const name = Buffer.from(`${i}_emb`)
    const head = Buffer.alloc(17)
    head.writeFloatLE(1, 1)
    for (const [at, value] of [rows, width, planes.length].entries()) head.writeUInt32LE(value, 5 + 4 * at)
    parts.push(Uint8Array.of(name.length), name, head, planes)
  }
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32LE(crc32(Buffer.concat(parts)))
  return Buffer.concat([...parts, checksum])
}

/** A gzip'd torch.save file whose tensors all look at the whole of one storage of zeros. */
export function torchViews({ count, rows, width }: Arrays): Uint8Array {
  const storage = { type: "FloatStorage", key: "0", values: new Float32Array(rows * width) }
  const view = () => tensorOf(storage, { shape: [rows, width], strides: [width, 1] })
  const dict = new Map<Pickled, Pickled>(Array.from({ length: count }, (_, i) => [`${i}_emb`, view()]))
  return gzipSync(torchArchive(dict, [storage]))
}

export function npzZeros({ count, rows, width }: Arrays): Uint8Array {
  const array = { shape: [rows, width], values: new Float32Array(rows * width) }
  return npzBytes(new Map(Array.from({ length: count }, (_, i) => [`${i}_emb`, array])))
}

/** Gzip of so many MiB of zeros, in members of one. */
export function gzipMebibytes(count: number): Uint8Array {
  const member = gzipSync(new Uint8Array(2 ** 20))
  return Buffer.concat(Array.from({ length: count }, () => member))
}

/** A line of JSONL with so many fields of embeddings. */
export function fieldsOfZeros({ count, rows, width }: Arrays): string {
  const value = gzipSync(numpyPickle(new Float32Array(rows * width), rows, width)).toString("base64")
  const fields = Array.from({ length: count }, (_, i) => [`${i}_emb`, value])
  return JSON.stringify({ uid: "b", ...Object.fromEntries(fields) })
}

interface Blocks {
  readonly count: number
  /** How often a block repeats its byte. */
  readonly size: number
  readonly letter?: string
  /** A frame for each block. */
  readonly frames?: boolean
}

/** zstd with a window of 8 MiB, and blocks of four bytes (RFC 8878, 3.1.1.2.2). */
export function zstdRuns({ count, size, letter = "a", frames = false }: Blocks): Uint8Array {
  const header = Buffer.from("28b52ffd0068", "hex")
  const parts: Uint8Array[] = frames ? [] : [header]
  for (let i = 0; i < count; i++) {
    const block = Buffer.alloc(4, letter)
    block.writeUIntLE((size << 3) | 2 | Number(frames || i === count - 1), 0, 3)
    if (frames) parts.push(header)
    parts.push(block)
  }
  return Buffer.concat(parts)
}

/** A header of a tar and what follows it, padded to blocks. */
export function tarEntry(name: string | Uint8Array, content: Uint8Array | string, type = "0", size?: number): Buffer {
  const bytes = Buffer.from(content)
  const header = Buffer.alloc(512)
  Buffer.from(name).copy(header, 0, 0, 100)
  header.write("0000644\x000000000\x000000000\0", 100)
  header.write(`${(size ?? bytes.length).toString(8).padStart(11, "0")}\0`, 124)
  header.write("00000000000\0        ", 136)
  header.write(type, 156)
  header.write("ustar\x0000", 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

/** A field of an extended header: its own length first. */
export function paxField(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`
  const length = [1, 2, 3, 4, 5, 6, 7].map((digits) => digits + rest.length).find((all) => String(all).length + rest.length === all)! // biome-ignore format: one line
  return `${length}${rest}`
}

export const tarEnd = Buffer.alloc(1024)
