/** A checkpoint as a directory of ONNX towers in this user's cache, exported at the first time. */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { manifestFile } from "../core/inference/manifest.ts"
import { requireFileName } from "../core/inside.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { exportModel } from "../export/export.ts"
import { makeDirectory } from "../host/files/files.ts"
import { ownCacheDir } from "../native/own-cache.ts"
import type { ModelSource } from "./find-model.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { withWeights } from "./open-weights.ts"

export interface ExportedOptions {
  /** Type of the weights; default "fp32". */
  readonly dtype?: OnnxDtype | null
  /** Says what takes long. */
  readonly onStage?: (text: string) => void
}

/** The directory; its name says what it is made of. */
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
    if (existsSync(join(directory, manifestFile))) return directory
    onStage?.(`${source.name}: exporting for ONNX Runtime, to ${directory}`)
    await makeDirectory(dirname(directory))
    await exportModel(model, info, directory, { source: origin, dtype: type })
    return directory
  })
}
