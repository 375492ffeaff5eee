/**
 * Threads that each decode pictures and compute them with image towers of their own, a picture at a time: nothing waits for
 * anything else. A tower on one thread takes less of the processors for a picture than on all of them (S0 on two: 29 ms of
 * processor time, where two threads that spin take 46 to 58), at the price of its weights in memory for each thread.
 */
import { type ErrorMessage, fromMessage } from "../core/error-message.ts"
import { asUserError, EnvironmentError, UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { ThreadPool } from "../host/thread-pool.ts"
import type { TowerPlace } from "../run/tower.ts"
import type { PixelOptions } from "./prepare-pixels.ts"
import { type NamedBytes, type PictureSource, readSource } from "./source.ts"

interface ThreadTower {
  readonly place: TowerPlace
  readonly preprocessing: Preprocessing
  readonly embedDim: number
}

export interface TowerThreadSettings {
  readonly towers: readonly ThreadTower[]
  /** Pictures that a tower takes at a time. */
  readonly batchSize: number
  readonly options: PixelOptions
  /** Whether it is measured how sharp pictures are. */
  readonly sharpness?: boolean
}

export interface EncodedPicture {
  /** One for each tower. */
  readonly vectors: readonly Float32Array[]
  /** Of the pixels that the first tower takes; null where nobody wants it. */
  readonly sharpness: number | null
}

export type Encoded = EncodedPicture | UserError

/** The same on its way from a thread. */
export type EncodedMessage = EncodedPicture | ErrorMessage

/** One that is computed, and two that bridge the time in which whoever asks waits for a disk. */
const inFlight = 3

export class TowerThreads implements AsyncDisposable {
  private readonly pool: ThreadPool<readonly NamedBytes[], readonly EncodedMessage[]>

  constructor(settings: TowerThreadSettings, threads: number) {
    this.pool = new ThreadPool({
      ...{ program: [import.meta.url, "tower-worker"], name: "towers", threads, settings, inFlight },
      ended: (why, cause) =>
        new EnvironmentError(
          `a thread that encodes pictures ended: ${why}`,
          "use fewer threads where memory is short",
          { cause },
        ),
    })
  }

  /** Files are read here, while threads compute. */
  async encode(sources: readonly PictureSource[]): Promise<Encoded[]> {
    const read = await Promise.all(sources.map(readOrError))
    const good = read.flatMap((each) => (each instanceof UserError ? [] : [each]))
    const transfer = good.map(({ bytes }) => bytes.buffer as ArrayBuffer)
    const encoded = good.length === 0 ? [] : await this.pool.ask(good, { transfer })
    let next = 0
    return read.map((each) => (each instanceof UserError ? each : outcomeOf(encoded[next++]!)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}

async function readOrError(source: PictureSource): Promise<NamedBytes | UserError> {
  try {
    const { name, bytes } = await readSource(source)
    return { name, bytes: isOwn(source, bytes) ? bytes : new Uint8Array(bytes) }
  } catch (error) {
    return asUserError(error)
  }
}

/** Whether its memory can be handed to a thread: that of others is their owners', and of a larger one all would go. */
function isOwn(source: PictureSource, { buffer, byteLength }: Uint8Array): boolean {
  return (
    (typeof source === "string" || source.bytes === null || source.isGiven === true) &&
    buffer instanceof ArrayBuffer &&
    buffer.byteLength === byteLength
  )
}

function outcomeOf(message: EncodedMessage): Encoded {
  return "message" in message ? (fromMessage(message) as UserError) : message
}
