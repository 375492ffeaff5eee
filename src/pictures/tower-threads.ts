/**
 * Threads that each decode pictures and compute them with image towers of their own, a picture at a time: nothing waits for
 * anything else. A tower on one thread takes less of the processors for a picture than on all of them (S0 on two: 29 ms of
 * processor time, where two threads that spin take 46 to 58), at the price of its weights in memory for each thread.
 */
import { type ErrorMessage, fromMessage } from "../core/error-message.ts"
import { EnvironmentError, UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { ThreadPool } from "../host/thread-pool.ts"
import type { TowerPlace } from "../run/tower.ts"
import { FileMemory } from "./file-memory.ts"
import type { PixelOptions } from "./prepare-pixels.ts"
import type { NamedBytes, PictureSource } from "./source.ts"

export interface ThreadTower {
  readonly place: TowerPlace
  readonly preprocessing: Preprocessing
  readonly embedDim: number
}

export interface TowerThreadSettings {
  readonly towers: readonly ThreadTower[]
  /** Pictures that a tower takes at a time. */
  readonly batchSize: number
  readonly options: PixelOptions
}

/** For each picture the vectors of all towers, or why there are none. */
export type Encoded = readonly Float32Array[] | UserError

/** The same on its way from a thread. */
export type EncodedMessage = readonly Float32Array[] | ErrorMessage

export interface BatchAnswer {
  readonly encoded: readonly EncodedMessage[]
  /** That of the files, which is used again. */
  readonly memory: readonly ArrayBuffer[]
}

export class TowerThreads implements AsyncDisposable {
  private readonly pool: ThreadPool<readonly NamedBytes[], BatchAnswer>
  private readonly memory = new FileMemory()

  constructor(settings: TowerThreadSettings, threads: number) {
    this.pool = new ThreadPool({
      ...{ program: [import.meta.url, "tower-worker"], name: "towers", threads, settings },
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
    const read = await Promise.all(sources.map((source) => this.readOrError(source)))
    const good = read.flatMap((each) => (each instanceof UserError ? [] : [each]))
    const encoded = good.length === 0 ? [] : await this.ask(good)
    let next = 0
    return read.map((each) => (each instanceof UserError ? each : outcomeOf(encoded[next++]!)))
  }

  private async ask(pictures: readonly NamedBytes[]): Promise<readonly EncodedMessage[]> {
    const transfer = pictures.map(({ bytes }) => bytes.buffer as ArrayBuffer)
    const { encoded, memory } = await this.pool.ask(pictures, { transfer })
    this.memory.giveBack(memory)
    return encoded
  }

  private async readOrError(source: PictureSource): Promise<NamedBytes | UserError> {
    try {
      return await this.memory.read(source)
    } catch (error) {
      if (error instanceof UserError) return error
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}

function outcomeOf(message: EncodedMessage): Encoded {
  return "message" in message ? (fromMessage(message) as UserError) : message
}
