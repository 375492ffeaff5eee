/** Vectors of the lists of labels that were used last, so that the same list is not encoded for each picture again. */
import type { LabelVectors } from "./label-vectors.ts"

type Encode = (labels: readonly string[], templates: readonly string[], signal: AbortSignal) => Promise<LabelVectors>

const mostLists = 8
/** Floats of all lists together, where there are several: 64 MiB. */
const mostValues = 2 ** 24

export class LabelCache {
  /** The one that was used last comes last. */
  private readonly kept = new Map<string, SharedWork<LabelVectors>>()

  constructor(private readonly encode: Encode) {}

  /** Calls with the same labels wait for one encoding, which ends when the last of them is aborted. */
  async vectors(
    labels: readonly string[],
    templates: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<LabelVectors> {
    signal?.throwIfAborted()
    const key = JSON.stringify([labels, templates])
    const found = this.kept.get(key)
    const work =
      found && !found.isGivenUp ? found : new SharedWork((shared) => this.encode([...labels], [...templates], shared))
    this.kept.delete(key)
    this.kept.set(key, work)
    try {
      return await work.wait(signal)
    } finally {
      if (work.isGivenUp && this.kept.get(key) === work) this.kept.delete(key)
      this.shrink()
    }
  }

  private shrink(): void {
    const size = () => [...this.kept.values()].reduce((sum, { value }) => sum + (value?.vectors.length ?? 0), 0)
    while (this.kept.size > mostLists || (this.kept.size > 1 && size() > mostValues)) {
      this.kept.delete(this.kept.keys().next().value!)
    }
  }
}

/** Work that several callers wait for. */
class SharedWork<T> {
  /** Null until it is there. */
  value: T | null = null
  /** It failed, or nobody waits for it any more. */
  isGivenUp = false
  private waiting = 0
  private readonly controller = new AbortController()
  private readonly result: Promise<T>

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.result = work(this.controller.signal)
    this.result.then(
      (value) => {
        this.value = value
      },
      () => {
        this.isGivenUp = true
      },
    )
  }

  async wait(signal: AbortSignal | undefined): Promise<T> {
    this.waiting++
    try {
      return await orAborted(this.result, signal)
    } finally {
      this.waiting--
      if (this.waiting === 0 && this.value === null) this.giveUp()
    }
  }

  private giveUp(): void {
    this.isGivenUp = true
    this.controller.abort()
  }
}

/** The promise's value, or the signal's reason as soon as it is aborted. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
  })
  signal.addEventListener("abort", onAbort)
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", onAbort))
}
