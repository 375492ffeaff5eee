/** How pictures are encoded on this machine: what was chosen, and why. */
import { statSync } from "node:fs"
import { freemem } from "node:os"
import { join } from "node:path"
import { usableProcessors } from "../host/processors.ts"
import type { TowerPlace } from "../run/tower.ts"

export interface Course {
  /** Threads with towers of their own, or one tower in this thread and threads that prepare its pixels. */
  readonly kind: "threads" | "here"
  readonly threads: number
  /** Pictures that a tower takes at a time. */
  readonly batchSize: number
  /** In lines, for people. */
  readonly reasons: readonly string[]
}

interface Circumstances {
  /** Those that the caller wants. */
  readonly threads?: number | undefined
  readonly batchSize?: number
  readonly isFew: boolean
  /** Bytes of memory that can be had; default: those of this machine, or of the container. */
  readonly memory?: number
}

/** In a thread of its own, a tower takes as long for a picture of a batch as for one (measured: S0 28.7 ms of processor time in batches of 1, 28.0 in batches of 8), and memory grows with them. */
const batchInThreads = 1
const batchHere = 8

/** @param places where threads find the models' towers; null where they cannot open one */
export function chooseCourse(places: readonly (TowerPlace | null)[], circumstances: Circumstances): Course {
  const processors = usableProcessors()
  const { threads = processors.count, batchSize, isFew, memory = availableMemory() } = circumstances
  const here = (why: string): Course => ({
    ...{ kind: "here", threads: Math.floor(threads / 4), batchSize: batchSize ?? batchHere },
    reasons: [`pictures are decoded while towers compute, in batches of ${batchSize ?? batchHere}: ${why}`],
  })
  const towers = places.filter((place) => place !== null)
  if (towers.length < places.length) return here("a model cannot be opened in threads")
  if (threads < 2) return here(threads === 1 ? "there is one thread" : "no threads are wanted")
  if (isFew) return here("they are few")
  const each = bytesOfThread(towers)
  const fitting = Math.floor((memory * shareOfMemory) / each)
  if (fitting < 2) return here(`two threads with towers of their own take ${inMegabytes(2 * each)} MB of memory`)
  const chosen = Math.min(threads, fitting)
  const limit = chosen < threads ? "as many as memory allows" : processors.reason
  return {
    ...{ kind: "threads", threads: chosen, batchSize: batchSize ?? batchInThreads },
    reasons: [
      `${chosen} threads decode and compute, each with towers of its own, in batches of ${batchSize ?? batchInThreads}: ${limit}`,
    ],
  }
}

const shareOfMemory = 0.5

/** A thread has the weights as they are read, and as the processor likes them; activations and a picture come to it. */
function bytesOfThread(places: readonly TowerPlace[]): number {
  return places.reduce((sum, place) => sum + 2.5 * bytesOfTower(place), 200e6)
}

function bytesOfTower({ directory, file }: TowerPlace): number {
  const path = join(directory, ...file.split("/"))
  return [path, `${path}_data`].reduce((sum, each) => sum + (statSync(each, { throwIfNoEntry: false })?.size ?? 0), 0)
}

function availableMemory(): number {
  // Within a container's limit, where this Node knows it.
  const { availableMemory: within } = process as { availableMemory?: () => number }
  return within?.() ?? freemem()
}

function inMegabytes(bytes: number): string {
  return Math.round(bytes / 1e6).toLocaleString("en")
}
