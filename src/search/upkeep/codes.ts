/** The binary codes of an index that is large enough for them. */
import { rm } from "node:fs/promises"
import { noProgress, type StartProgress } from "../../core/progress.ts"
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
    onProgress: (done) => progress.update(done),
  })
  progress.done()
}
