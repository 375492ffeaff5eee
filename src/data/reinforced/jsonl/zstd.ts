/**
 * zstd as it comes in (RFC 8878), a block at a time. fzstd unpacks everything that it is given at once, blocks of any size
 * and windows of up to 2 GiB, so 64 KiB could become 32 GiB. Therefore it is given one block after the other, and only
 * those that the format allows.
 */
import { Decompress } from "fzstd"
import { Budget } from "../../../core/budget.ts"
import { UserError } from "../../../core/errors.ts"

/** The window that the format asks readers to support, and the largest that zstd uses up to level 19. */
const largestWindow = 2 ** 23

/** The format's own limit, also of what is unpacked. */
const largestBlock = 2 ** 17

/**
 * The window is allocated for each frame and moved for each block, so many small ones take long: 2048 of the largest window
 * take 2 seconds. Blocks as compressors make them use a small part of this budget.
 */
const windowBudget = (size: number) => 2 ** 34 + 2 ** 15 * size

/** Small blocks are collected until they have so many bytes: a block object takes more memory than its content. */
const leastChunk = 2 ** 16

const frameMagic = 0xfd2fb528

/**
 * Throws UserError on what the format or its readers do not allow, any other error on damage.
 *
 * @param size bytes of the whole file
 */
export async function* unzstd(file: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const blocks = new Blocks()
  const decoder = new Decompress((block) => blocks.add(block))
  try {
    for await (const piece of piecesOf(new Input(file), new Budget(windowBudget(size), "zstd"))) {
      decoder.push(piece)
      if (blocks.length >= leastChunk) yield* blocks.take()
    }
    decoder.push(new Uint8Array(0), true)
  } catch (error) {
    // Lines before the damage are read.
    yield* blocks.take()
    throw error
  }
  yield* blocks.take()
}

/** Unpacked blocks: large ones are passed on, and small ones are put together. */
class Blocks {
  private large: Uint8Array[] = []
  private small: Uint8Array[] = []
  length = 0

  add(block: Uint8Array): void {
    this.length += block.length
    if (block.length < leastChunk) {
      this.small.push(block)
      return
    }
    this.join()
    this.large.push(block)
  }

  take(): readonly Uint8Array[] {
    this.join()
    const taken = this.large
    ;[this.large, this.length] = [[], 0]
    return taken
  }

  private join(): void {
    if (this.small.length > 0) this.large.push(Buffer.concat(this.small))
    this.small = []
  }
}

/** Headers of frames and blocks, blocks and checksums, each by itself; frames to be skipped are. */
async function* piecesOf(input: Input, windows: Budget): AsyncGenerator<Uint8Array> {
  while (await input.has(1)) {
    const magic = (await input.peek(4)).readUInt32LE()
    if (magic === frameMagic) yield* frame(input, windows)
    else if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) await input.skip(8 + (await input.peek(8)).readUInt32LE(4))
    else throw new UserError("what follows a frame of zstd is not one")
  }
}

async function* frame(input: Input, windows: Budget): AsyncGenerator<Uint8Array> {
  const descriptor = (await input.peek(5))[4]!
  const header = await input.read(headerLength(descriptor))
  const window = checkedWindow(header)
  windows.take(window, "the window of a frame")
  yield header
  for (let isLast = false; !isLast; ) {
    const head = (await input.peek(3)).readUIntLE(0, 3)
    isLast = (head & 1) === 1
    const size = head >>> 3
    if (size > largestBlock) throw new UserError(`a block of zstd has ${size} bytes, more than ${largestBlock}`)
    windows.take(window, "another block")
    const kind = (head >>> 1) & 3
    const start = await input.read(3)
    const isEmpty = kind === 0 && size === 0
    if (isEmpty && !isLast) continue
    // Pushed apart: fzstd releases earlier pieces only where one ended within a block, and else keeps the whole file.
    yield start
    if (!isEmpty) yield await input.read(kind === 1 ? 1 : size)
  }
  if ((descriptor & 0x04) !== 0) yield await input.read(4)
}

const dictionaryBytes = [0, 1, 2, 4] as const

function isSingleSegment(descriptor: number): boolean {
  return (descriptor & 0x20) !== 0
}

/** Magic number, descriptor, window, dictionary, size of the content (3.1.1.1). */
function headerLength(descriptor: number): number {
  const isSingle = isSingleSegment(descriptor)
  const contentSize = [isSingle ? 1 : 0, 2, 4, 8][descriptor >>> 6]!
  return 5 + (isSingle ? 0 : 1) + dictionaryBytes[(descriptor & 3) as 0 | 1 | 2 | 3] + contentSize
}

/** In bytes. Throws UserError where it is larger than `largestWindow`. */
function checkedWindow(header: Buffer): number {
  const window = windowOf(Buffer.concat([header, new Uint8Array(18)]))
  if (window <= largestWindow) return window
  throw new UserError(
    `zstd asks for a window of ${Math.ceil(window / 2 ** 20)} MiB, more than ${largestWindow / 2 ** 20}`,
    "compress it without --ultra and without --long",
  )
}

/** A frame that is a single segment has a window of its whole content. */
function windowOf(head: Buffer): number {
  const descriptor = head[4]!
  const base = 2 ** (10 + (head[5]! >>> 3))
  if (!isSingleSegment(descriptor)) return base + (base / 8) * (head[5]! & 7)
  const at = 5 + dictionaryBytes[(descriptor & 3) as 0 | 1 | 2 | 3]
  const sizes = [head[at]!, head.readUInt16LE(at) + 256, head.readUInt32LE(at), Number(head.readBigUInt64LE(at))]
  return sizes[descriptor >>> 6]!
}

/** The bytes of a file, as many as are asked for. */
class Input {
  private readonly chunks: AsyncIterator<Uint8Array>
  /** The bytes that come next, and what follows them. */
  private buffer: Buffer = Buffer.alloc(0)
  private more: Uint8Array[] = []
  private available = 0

  constructor(file: AsyncIterable<Uint8Array>) {
    this.chunks = file[Symbol.asyncIterator]()
  }

  /** Whether `count` bytes are left. */
  async has(length: number): Promise<boolean> {
    while (this.available < length) {
      const next = await this.chunks.next()
      if (next.done) return false
      this.more.push(next.value)
      this.available += next.value.length
    }
    return true
  }

  /** The next bytes, which are not consumed. */
  async peek(length: number): Promise<Buffer> {
    if (!(await this.has(length))) throw new Error("unexpected end")
    if (this.buffer.length < length) this.join(length)
    return this.buffer.subarray(0, length)
  }

  async read(length: number): Promise<Buffer> {
    const bytes = await this.peek(length)
    this.drop(length)
    return bytes
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      await this.peek(1)
      const count = Math.min(left, this.buffer.length)
      this.drop(count)
      left -= count
    }
  }

  /** Bytes from several chunks are joined; bytes within one chunk are not copied. */
  private join(length: number): void {
    const crossing: Uint8Array[] = [this.buffer]
    for (let sum = this.buffer.length; sum < length; sum += crossing.at(-1)!.length) crossing.push(this.more.shift()!)
    const [first, second] = crossing
    this.buffer = first!.length === 0 && crossing.length === 2 ? bufferOf(second!) : Buffer.concat(crossing)
  }

  private drop(length: number): void {
    this.buffer = this.buffer.subarray(length)
    this.available -= length
  }
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}
