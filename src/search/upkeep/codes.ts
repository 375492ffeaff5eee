/** The binary codes of an index after its rows changed in another way than by growing. */
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

/** Removes those that are there, and makes them anew where there are enough rows for them. */
export async function restoreCodes(
  store: IndexStore,
  generation: Generation,
  { signal, startProgress = noProgress }: CodesOptions = {},
): Promise<void> {
  const [path, { count }] = [store.codesPath(generation), store]
  await rm(path, { force: true }).catch(() => {})
  if (count < codesFromRows || generation.settings.store !== "file") return
  const progress = startProgress("binary codes", count, { unit: "vectors" })
  await updateCodes(store.vectorsPath(generation), path, {
    ...{ dim: generation.dim, offset: vectorOffset, count, signal },
    onProgress: (done) => progress.update(done),
  })
  progress.done()
}
