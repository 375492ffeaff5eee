/** What `mobileclip convert` does: it converts, and prints what it wrote. */
import { type Manifest, worstError } from "../core/inference/manifest.ts"
import { commandLine } from "../core/shell-quote.ts"
import { type ConvertOptions, convert } from "../weights/convert.ts"
import { shownPull } from "./pulling.ts"

export interface ConvertCommandOptions extends Pick<ConvertOptions, "out" | "model" | "dtype" | "layout"> {
  readonly json?: true
}

interface Output {
  writeOut?(text: string): void
  writeErr?(text: string): void
}

export async function runConvert(
  source: string,
  { json, ...options }: ConvertCommandOptions,
  signal: AbortSignal,
  { writeOut = () => {}, writeErr }: Output,
): Promise<void> {
  const started = performance.now()
  const onStage = (text: string) => writeErr?.(`${text}\n`)
  const converted = await convert(source, { ...options, pull: shownPull(writeErr), onStage, signal })
  if (converted.kind === "open_clip") {
    const { files } = converted
    return writeOut(
      json ? `${JSON.stringify({ files }, null, 2)}\n` : `wrote ${files.join(" and ")} to ${options.out}\n`,
    )
  }
  const { manifest } = converted
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  writeOut(
    json
      ? `${JSON.stringify(manifest, null, 2)}\n`
      : `${summary(manifest, options.out)}, in ${seconds} s\n${nextLine(manifest, options.out)}\n`,
  )
}

/** What a model directory is good for. */
export function nextLine({ towers }: Manifest, out: string): string {
  const words = towers.decoder
    ? ["caption", "PICTURES", "--model", out]
    : ["classify", "PICTURES", "--model", out, "--labels", "cat,dog"]
  return `next:   ${commandLine(["mobileclip", ...words])}`
}

function summary({ verification, dtype, files, license }: Manifest, out: string): string {
  const megabytes = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0) / 1e6
  const difference =
    dtype === "fp32"
      ? `differs from the checkpoint by ${worstError(verification).toExponential(1)} standard deviations at most`
      : `cosine ${verification.cosine?.toFixed(7)} with the checkpoint in fp32`
  return `${out}: ${megabytes.toFixed(0)} MB, licence ${license}; ${difference}`
}
