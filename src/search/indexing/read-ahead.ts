/** Files that are read while those before them are encoded: some at once, and not more of their bytes than a budget. */
import { UserError } from "../../core/errors.ts"
import { readBytes } from "../../host/files/files.ts"

const most = 16
/** Bytes of all files that are read ahead together; one file may have more. */
const budgetBytes = 2 ** 28

/** `work` of each, in their order. The first error that is reached in order is thrown. */
export async function* readAhead<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  sizeOf: (item: T) => number,
  work: (item: T) => Promise<R>,
  budget = budgetBytes,
): AsyncGenerator<R> {
  const underWay: { readonly result: Promise<R>; readonly size: number }[] = []
  let bytes = 0
  for await (const item of items) {
    const size = sizeOf(item)
    while (underWay.length === most || (underWay.length > 0 && bytes + size > budget)) {
      const first = underWay.shift()!
      yield await first.result
      bytes -= first.size
    }
    const result = work(item)
    // An error waits here until its turn; without this, Node would end the process for it.
    result.catch(() => {})
    underWay.push({ result, size })
    bytes += size
  }
  for (const { result } of underWay) yield await result
}

/** A picture of as many pixels as are decoded, at eight bytes each, has less. */
const mostFileBytes = 2 ** 30

/** Throws UserError where it cannot be read, or is larger than any picture that is decoded. */
export async function readPictureFile(path: string): Promise<Uint8Array> {
  return readBytes(path, (bytes) => {
    if (bytes > mostFileBytes)
      throw new UserError(`${path} has ${bytes} bytes, and pictures of at most ${mostFileBytes} are read`)
  })
}

/** Larger files are read once more when they are decoded: what waits for that would fill the memory. */
const keptFileBytes = 2 ** 23

/** What waits to be encoded; null: it is read again. */
export function bytesToKeep(bytes: Uint8Array): Uint8Array | null {
  return bytes.length > keptFileBytes ? null : bytes
}
