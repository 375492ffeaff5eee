/** The pictures of Search: encoded one batch after the other in the background, and known again on the next visit. */
import { signal } from "@preact/signals"
import type { Ready } from "../model/state.ts"
import { encodeKept } from "../model/vectors.ts"
import type { Received } from "../shared/intake.ts"

export interface LibraryPicture extends Received {
  readonly id: number
  /** Unit vector by the model that is open; null: not yet. */
  vector: Float32Array | null
  /** Why it cannot be read. Paths do not tell pictures apart: files of two folders may have one name. */
  reason: string | null
}

export interface Unread {
  readonly id: number
  readonly path: string
  readonly reason: string
}

export interface Progress {
  readonly total: number
  readonly done: number
  /** Whose vectors were kept from before. */
  readonly known: number
  readonly unread: readonly Unread[]
  /** Pictures a second that were encoded, not known; null: none yet. */
  readonly rate: number | null
  readonly isPaused: boolean
  readonly isRunning: boolean
  /** Why vectors are not kept for the next visit. */
  readonly notKept: string | null
  /** Grows whenever pictures got vectors, or lost them: their number alone may be that of before. */
  readonly version: number
}

const nothing: Progress = {
  ...{ total: 0, done: 0, known: 0, unread: [], rate: null, isPaused: false, isRunning: false, notKept: null },
  version: 0,
}

/** Few enough that a search in between does not wait long. */
const batchSize = 8

export class PictureLibrary {
  readonly progress = signal(nothing)
  private pictures: LibraryPicture[] = []
  private readonly paths = new Set<string>()
  private model: Ready | null = null
  /** The key of the model that made the vectors, which outlives times without a model. */
  private madeBy: string | null = null
  private lastId = 0
  /** Changes with the model and with what is removed: a run of before ends. */
  private round = 0

  /** Those that have vectors. */
  get encoded(): readonly LibraryPicture[] {
    return this.pictures.filter(({ vector }) => vector !== null)
  }

  add(received: readonly Received[]): void {
    const fresh = received.filter(({ path, file }) => {
      const key = `${path} ${file.size} ${file.lastModified}`
      return !this.paths.has(key) && this.paths.add(key)
    })
    this.pictures.push(...fresh.map((one) => ({ ...one, id: ++this.lastId, vector: null, reason: null })))
    this.update({ total: this.pictures.length })
    void this.run()
  }

  /** Vectors of another model say nothing to this one's texts: all are made, or found, again. */
  use(model: Ready | null): void {
    if (model === this.model) return
    this.model = model
    this.round++
    if (model && model.key !== this.madeBy) this.forgetVectors()
    this.madeBy = model?.key ?? this.madeBy
    const [total, done, unread] = [this.pictures.length, this.encoded.length, this.unread]
    this.progress.value = { ...nothing, total, done, unread, version: this.nextVersion }
    void this.run()
  }

  pause(isPaused: boolean): void {
    this.update({ isPaused })
    if (!isPaused) void this.run()
  }

  clear(): void {
    this.round++
    this.pictures = []
    this.paths.clear()
    this.progress.value = { ...nothing, version: this.nextVersion }
  }

  private get nextVersion(): number {
    return this.progress.value.version + 1
  }

  private get unread(): readonly Unread[] {
    return this.pictures.flatMap(({ id, path, reason }) => (reason === null ? [] : [{ id, path, reason }]))
  }

  private forgetVectors(): void {
    for (const picture of this.pictures) [picture.vector, picture.reason] = [null, null]
  }

  private async run(): Promise<void> {
    const { model, round } = this
    if (!model || this.progress.value.isRunning || this.progress.value.isPaused) return
    this.update({ isRunning: true })
    const timing = { pictures: 0, seconds: 0 }
    while (round === this.round && !this.progress.value.isPaused) {
      const batch = this.pictures.filter(isWaiting).slice(0, batchSize)
      if (batch.length === 0) break
      // Where the model was closed meanwhile, the next one begins again.
      const isEncoded = await this.encode(batch, model, timing).catch(() => false)
      if (round !== this.round) return
      if (!isEncoded) break
      this.update({
        unread: this.unread,
        done: this.encoded.length,
        version: this.nextVersion,
        rate: timing.seconds > 0 ? timing.pictures / timing.seconds : null,
      })
    }
    if (round === this.round) this.update({ isRunning: false })
  }

  /** False: another model came meanwhile. */
  private async encode(
    batch: readonly LibraryPicture[],
    model: Ready,
    timing: { pictures: number; seconds: number },
  ): Promise<boolean> {
    const began = performance.now()
    const encoded = await encodeKept(
      batch.map(({ file }) => file),
      model,
    )
    if (model !== this.model) return false
    let [known, notKept] = [0, this.progress.value.notKept]
    for (const [i, one] of encoded.entries()) {
      const picture = batch[i]!
      if ("reason" in one) {
        picture.reason = one.reason
        continue
      }
      picture.vector = one.vector
      if (one.isKnown) known++
      notKept = one.notKept ?? notKept
    }
    timing.pictures += batch.length - known
    if (known < batch.length) timing.seconds += (performance.now() - began) / 1000
    this.update({ known: this.progress.value.known + known, notKept })
    return true
  }

  private update(change: Partial<Progress>): void {
    this.progress.value = { ...this.progress.value, ...change }
  }
}

function isWaiting({ vector, reason }: LibraryPicture): boolean {
  return vector === null && reason === null
}
