/**
 * A first pass over a source, before anything is written: a source that is damaged is refused whole, and what is decided for all
 * of it is known (which folder its pictures are below, whether its vectors are the model's own).
 */
import { existsSync } from "node:fs"
import { dirname } from "node:path"
import type { Progress } from "../../../core/progress.ts"
import { isWithin } from "../../indexing/roots.ts"
import type { ImportedPicture, ImportSource } from "../sources/source.ts"
import { commonFolder } from "./path-map.ts"

export interface Survey {
  readonly pictures: number
  /** The deepest folder that all are below; null: there are none. */
  readonly folder: string | null
  /** The first that a file is looked for of; null: there is none. */
  readonly first: { readonly path: string; readonly place: string } | null
  /** Whether the file of one is here. */
  readonly isHere: boolean
  /** Whether one is in none of the index's folders. */
  readonly isOutside: boolean
  /** Pictures that exist here and have a vector, from all parts of the source. */
  readonly sample: readonly SampledPicture[]
}

export interface SampledPicture {
  /** As it is here. */
  readonly path: string
  readonly vector: Float32Array
}

export interface SurveyOptions {
  /** How many pictures are kept, up to twice as many. */
  readonly sampleSize: number
  /** The index's folders. */
  readonly roots: readonly string[]
  readonly progress?: Progress
  readonly signal?: AbortSignal | undefined
}

/** @param placeOf the path as it is here */
export async function survey(
  source: ImportSource,
  placeOf: (picture: ImportedPicture) => string,
  { sampleSize, roots, progress, signal }: SurveyOptions,
): Promise<Survey> {
  let pictures = 0
  let folder: string | null = null
  let [isOutside, isHere] = [false, false]
  let first: Survey["first"] = null
  const sample = new SpreadSample(sampleSize)
  for await (const picture of source.pictures()) {
    if (++pictures % 1000 === 0) {
      signal?.throwIfAborted()
      progress?.update(pictures)
    }
    if (isWebAddress(picture.path)) continue
    const path = placeOf(picture)
    const parent = dirname(path)
    folder = folder === null ? parent : commonFolder(folder, parent)
    first ??= { path: picture.path, place: path }
    isHere ||= existsSync(path)
    isOutside ||= !roots.some((root) => isWithin(path, root))
    if (hasDirection(picture.vector)) sample.offer({ path, vector: picture.vector })
  }
  return { pictures, folder, first, isHere, isOutside, sample: sample.kept }
}

/** Nothing of the web is in a folder. */
export function isWebAddress(path: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(path)
}

/** Whether it is a vector that can be made one of unit length. */
export function hasDirection(vector: Float32Array | null): vector is Float32Array {
  if (vector === null) return false
  return vector.every(Number.isFinite) && vector.some((value) => value !== 0)
}

/** Keeps every n-th that exists, with n doubled whenever there are twice as many as wanted: always the same ones. */
class SpreadSample {
  kept: SampledPicture[] = []
  private offered = 0
  private step = 1

  constructor(private readonly size: number) {}

  offer(picture: SampledPicture): void {
    if (this.offered++ % this.step !== 0 || !existsSync(picture.path)) return
    this.kept.push(picture)
    if (this.kept.length < 2 * this.size) return
    this.kept = this.kept.filter((_, i) => i % 2 === 0)
    this.step *= 2
  }
}
