/** A checkpoint of any origin as a model directory, or in open_clip's names. */

import { UserError } from "../core/errors.ts"
import { findModel } from "../core/family/variant-name.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import type { DirectoryDtype } from "../core/precision.ts"
import { exportModel } from "../export/export.ts"
import { type LayoutName, layouts } from "../export/layouts.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { exportOpenClip, isOpenClipOutput } from "../export/open-clip.ts"
import { lockPath } from "../host/locks/lock.ts"
import { type PullWeights, pull as pullFromHub } from "../hub/pull.ts"
import { findModelFiles } from "./find-model.ts"
import { sourceOf } from "./open-checkpoint.ts"
import { withWeights } from "./open-weights.ts"

/** Model directories, and open_clip's names. */
export const convertLayouts = [...(Object.keys(layouts) as LayoutName[]), "open_clip"] as const

export interface ConvertOptions {
  /** The folder to write. */
  readonly out: string
  /** Which member of the family it is, where its contents leave a choice. */
  readonly model?: string
  /** Type of the weights; default "fp32". "mixed" is for browsers: the image tower in fp16, texts in fp32. */
  readonly dtype?: DirectoryDtype
  /** Default "transformers.js". */
  readonly layout?: (typeof convertLayouts)[number]
  /** Downloads the source where it is a name. Default: from the hub, without showing progress. */
  readonly pull?: PullWeights
  readonly signal?: AbortSignal
  /** Is told what is being done. */
  readonly onStage?: (text: string) => void
}

export const convertDefaults = { dtype: "fp32", layout: "transformers.js" } as const satisfies Partial<ConvertOptions>

/** What was written: a model directory, or files in open_clip's names. */
export type Converted =
  | { readonly kind: "directory"; readonly manifest: Manifest }
  | { readonly kind: "open_clip"; readonly files: readonly string[] }

/**
 * @param source a file of weights, a folder with one, a run's folder, or a name to pull
 * @throws UserError where the source is not a model of the family, the folder has other content, or the written files
 *   differ from the source
 */
export async function convert(source: string, given: ConvertOptions): Promise<Converted> {
  const { out, dtype, layout, signal, pull, onStage } = { ...convertDefaults, pull: pullFromHub, ...given }
  const wanted = given.model === undefined ? null : findModel(given.model)
  if (layout !== "open_clip") await checkModelDirectory(out)
  using _ = await lockPath(out, "mobileclip convert", signal)
  const { path } = await findModelFiles(source, { wantsWeights: true, pull, signal })
  if (layout === "open_clip" && (await isOpenClipOutput(path, out)))
    throw new UserError(`${path} would be both read and written`, "choose another folder for --out")
  return await withWeights(path, wanted, async (weights) => {
    const { model, info, description } = weights
    onStage?.(`${path}: ${description}`)
    if (layout === "open_clip") return { kind: layout, files: await exportOpenClip(model, info, out) }
    const options = { source: await sourceOf(path), dtype, layout, ...(onStage && { onStage }) }
    return { kind: "directory", manifest: await exportModel(model, info, out, options) }
  })
}
