/** How `join` writes: embeddings as they are, unless a layout is asked for. */
import { type Command, Option } from "commander"
import { UserError } from "../../../core/errors.ts"
import type { SampleFormat } from "../../../data/reinforced/encode.ts"

export interface FormatOptions {
  readonly outputFormat: "webdataset" | "wds" | "jsonl"
  readonly float32?: true
  readonly bfloat16?: true
  readonly compact?: true
  readonly textEmbeddings?: SampleFormat["textEmbeddings"]
}

export function addFormatOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--output-format <format>", "of the shards")
        .choices(["webdataset", "wds", "jsonl"])
        .default("webdataset"),
    )
    .option("--float32", "write embeddings anew as float32 (npz); default: copied as they are, packed, the fastest")
    .option("--bfloat16", "write them anew as bfloat16 (pth.gz)")
    .option("--compact", "write them anew in the compact layout (docs/formats.md)")
    .addOption(
      new Option("--text-embeddings <layout>", "of real and synthetic captions: one array, or one each").choices([
        "separate",
        "joined",
      ]),
    )
}

/** Null: WebDataset, with embeddings as they are. Throws UserError on options that do not go together. */
export function joinFormat(options: FormatOptions): SampleFormat | null {
  const { outputFormat, textEmbeddings } = options
  const layouts = (["float32", "bfloat16", "compact"] as const).filter((name) => options[name])
  if (layouts.length > 1) throw new UserError(`--${layouts.join(" and --")} are two layouts`, "choose one")
  const [layout] = layouts
  if (outputFormat === "jsonl") {
    if (layout === "compact") throw new UserError("JSONL has no compact embeddings", "use --output-format webdataset")
    return sampleFormat("jsonl", layout, textEmbeddings)
  }
  return layout || textEmbeddings ? sampleFormat("webdataset", layout, textEmbeddings) : null
}

const kinds = { float32: "npz", bfloat16: "pth.gz", compact: "compact" } as const

export function sampleFormat(
  output: SampleFormat["output"],
  layout: keyof typeof kinds = "float32",
  textEmbeddings: SampleFormat["textEmbeddings"] = "separate",
  images = true,
): SampleFormat {
  return { output, embeddings: kinds[layout], textEmbeddings, images }
}
