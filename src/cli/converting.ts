/** What `mobileclip convert` does: find the file, tell what it is, write and compare, say what came out. */
import { existsSync } from "node:fs"
import { UserError } from "../core/errors.ts"
import type { Manifest } from "../core/manifest.ts"
import { findModel } from "../core/variant-name.ts"
import { exportModel } from "../export/export.ts"
import type { ExportDtype, LayoutName } from "../export/layouts.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { exportOpenClip, isOpenClipOutput } from "../export/open-clip.ts"
import { lockPlace } from "../host/lock.ts"
import { weightsFile } from "../hub/choose-weights.ts"
import { sourceOf } from "./checkpoint.ts"
import { pullShown } from "./pulling.ts"
import { withWeights } from "./weights.ts"

export interface ConvertOptions {
  readonly out: string
  readonly model?: string
  readonly dtype: ExportDtype
  readonly layout: LayoutName | "open_clip"
  readonly json?: true
}

interface Output {
  writeOut?(text: string): void
  writeErr?(text: string): void
}

export async function runConvert(
  source: string,
  options: ConvertOptions,
  signal: AbortSignal,
  { writeOut, writeErr }: Output,
): Promise<void> {
  const { out, dtype, layout, json } = options
  const say = (text: string) => writeErr?.(`${text}\n`)
  if (layout !== "open_clip") await checkModelDirectory(out)
  using _ = await lockPlace(out, "mobileclip convert")
  const path = existsSync(source) ? weightsFile(source) : (await pullShown(source, {}, signal, writeErr)).path
  if (layout === "open_clip" && (await isOpenClipOutput(path, out)))
    throw new UserError(`${path} would be both read and written`, "choose another folder for --out")
  const started = performance.now()
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1)
  await withWeights(path, wantedName(options.model), async ({ model, info, description }) => {
    say(`${path}: ${description}`)
    if (layout === "open_clip") {
      const files = await exportOpenClip(model, info, out)
      return writeOut?.(json ? `${JSON.stringify({ files }, null, 2)}\n` : `wrote ${files.join(" and ")} to ${out}\n`)
    }
    const written = { source: await sourceOf(path), dtype, layout, onStage: say }
    const manifest = await exportModel(model, info, out, written)
    writeOut?.(json ? `${JSON.stringify(manifest, null, 2)}\n` : `${summary(manifest, out)}, in ${seconds()} s\n`)
  })
}

function wantedName(name: string | undefined): string | null {
  if (name === undefined) return null
  return findModel(name)
}

function summary({ verification, dtype, files, license }: Manifest, out: string): string {
  const megabytes = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) / 1e6
  const difference =
    dtype === "fp16"
      ? `cosine ${verification.cosine?.toFixed(7)} with the checkpoint in fp32`
      : `differs from the checkpoint by ${worstError(verification).toExponential(1)} standard deviations at most`
  return `${out}: ${megabytes.toFixed(0)} MB, licence ${license}; ${difference}`
}

export function worstError({ imageError, textError = 0, decoderError = 0 }: Manifest["verification"]): number {
  return Math.max(imageError, textError, decoderError)
}
