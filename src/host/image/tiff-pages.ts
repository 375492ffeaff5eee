/** The first page of a TIFF file: libvips goes through the chain of all pages, which may have hundreds of thousands. */

/** The same file without its other pages; unchanged where it has one page, or is damaged. */
export function firstPage(bytes: Uint8Array): Uint8Array {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const next = nextPage(file)
  if (!next || file.subarray(next.at, next.at + next.size).every((byte) => byte === 0)) return bytes
  return Buffer.from(file).fill(0, next.at, next.at + next.size)
}

/** Where the first page's directory says where the second one is: after its entries. */
function nextPage(file: Buffer): { readonly at: number; readonly size: 4 | 8 } | null {
  const isBig = file[2] === 43 || file[3] === 43
  const [size, countSize, entry] = isBig ? ([8, 8, 20] as const) : ([4, 2, 12] as const)
  const isLittle = file[0] === 0x49
  const read = (at: number, length: number): number => {
    if (!(at + length <= file.length)) return Number.NaN
    if (length < 8) return isLittle ? file.readUIntLE(at, length) : file.readUIntBE(at, length)
    return Number(isLittle ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at))
  }
  const directory = read(isBig ? 8 : 4, size)
  const at = directory + countSize + read(directory, countSize) * entry
  return at + size <= file.length ? { at, size } : null
}
