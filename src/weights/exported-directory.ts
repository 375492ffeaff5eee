/** A checkpoint as a directory of ONNX towers in this user's cache, exported at the first time. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { manifestFile } from "../core/inference/manifest.ts"
import { requireFileName } from "../core/inside.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { exportModel } from "../export/export.ts"
import { InUseError, type Lock, lockPath } from "../host/locks/lock.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import type { ModelSource } from "./find-model.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { withWeights } from "./open-weights.ts"

export interface ExportedOptions {
  /** Type of the weights; default "fp32". */
  readonly dtype?: OnnxDtype | null
  /** Says what takes long. */
  readonly onStage?: ((text: string) => void) | undefined
}

/** The directory; its name says what it is made of. One process exports it, and those that ask meanwhile wait for that. */
export async function exportedDirectory(
  source: Pick<ModelSource, "name" | "path" | "variant">,
  { dtype, onStage }: ExportedOptions = {},
): Promise<string> {
  const type = dtype ?? "fp32"
  const origin = await sourceOf(source.path)
  return withWeights(source.path, source.variant, async ({ model, info }) => {
    // The name is the checkpoint's own word.
    const name = requireFileName(`${info.name}-${type}-${origin.sha256.slice(0, 16)}`, source.name)
    const directory = join(ownCacheDir(process.env), "exported", name)
    using lock = await lockUnlessExported(directory)
    if (lock === null) return directory
    onStage?.(`${source.name}: exporting for ONNX Runtime, to ${directory}`)
    await exportModel(model, info, directory, { source: origin, dtype: type })
    return directory
  })
}

const millisecondsBetweenLooks = 200

/** The right to export; null where it has been done: nobody replaces a directory that another one may be loading. */
async function lockUnlessExported(directory: string): Promise<Lock | null> {
  const isExported = () => existsSync(join(directory, manifestFile))
  while (!isExported()) {
    const lock = await lockPath(directory, "an export for ONNX Runtime").catch(nullWhereInUse)
    // Between the look and the lock another process may have ended its export.
    if (lock && !isExported()) return lock
    lock?.[Symbol.dispose]()
    if (!lock) await sleep(millisecondsBetweenLooks)
  }
  return null
}

function nullWhereInUse(error: unknown): null {
  if (error instanceof InUseError) return null
  throw error
}
