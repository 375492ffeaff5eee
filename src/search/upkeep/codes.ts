/** The binary codes of an index that is large enough for them. */
import { rm } from "node:fs/promises"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { readBackground } from "../calibrate/make-background.ts"
import { updateCodes } from "../scan/codes.ts"
import { codesFromRows } from "../scan/scanner.ts"
import type { Generation, IndexStore } from "../store/index-store.ts"
import { vectorOffset } from "../store/vector-file.ts"

interface CodesOptions {
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
}

/** After its rows changed in another way than by growing: removes those that are there, and makes them anew. */
export async function restoreCodes(store: IndexStore, generation: Generation, options?: CodesOptions): Promise<void> {
  await rm(store.codesPath(generation), { force: true }).catch(() => {})
  await extendCodes(store, generation, options)
}

/** For the rows that have none, where there are enough of them. */
export async function extendCodes(
  store: IndexStore,
  generation: Generation,
  { signal, startProgress = noProgress }: CodesOptions = {},
): Promise<void> {
  const { count } = store
  if (count < codesFromRows || generation.settings.store !== "file") return
  const progress = startProgress("binary codes", count, { unit: "vectors" })
  await updateCodes(store.vectorsPath(generation), store.codesPath(generation), {
    ...{ dim: generation.dim, offset: vectorOffset, count, signal },
    queries: captionsOf(store, generation, 0),
    onProgress: (done) => progress.update(done),
  })
  progress.done()
}

const measuredCaptions = 32

/**
 * Vectors of generic captions of the background, as texts for which codes are measured.
 *
 * @param part 0: those that choose the number of candidates; 1: others
 */
export function captionsOf(store: IndexStore, generation: Generation, part: 0 | 1): Float32Array[] {
  const { dim, prompts } = store.reading(() => readBackground(store, generation))
  const step = Math.max(2, Math.floor(prompts.length / dim / measuredCaptions))
  const all = Array.from({ length: prompts.length / dim }, (_, i) => prompts.subarray(i * dim, (i + 1) * dim))
  return all.filter((_, i) => i % step === part).slice(0, measuredCaptions)
}
