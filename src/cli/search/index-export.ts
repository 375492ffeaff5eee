/** mobileclip index export */
import { type Command, Option } from "commander"
import { counted } from "../../core/counted.ts"
import { type ExportOptions, exportDefaults, exportIndex } from "../../search/exchange/export/export-index.ts"
import { storedTypes } from "../../search/exchange/export/pair-writer.ts"
import { exportFormats } from "../../search/exchange/export/write-export.ts"
import type { CommandContext } from "../context.ts"
import { progressOption, wholeNumber } from "../options.ts"
import { type ProgressMode, progressReporter } from "../progress.ts"
import { indexOption } from "./index-option.ts"

interface Options extends ExportOptions {
  readonly index: string
  readonly progress: ProgressMode
  readonly json?: true
}

const more = `
Examples:
  mobileclip index export --index DIR --to vectors                         img_emb/*.npy and metadata/*.parquet
  mobileclip index export --index DIR --to all.npy --format npy            and all.parquet
  mobileclip index export --index DIR --to all.jsonl --format jsonl        a line for each picture

A row for each file of the index, with a vector of unit length. What is written is complete or absent.
`

export function registerExport(command: Command, context: CommandContext): void {
  command
    .command("export")
    .description("write pictures and vectors for other programs")
    .addOption(indexOption())
    .requiredOption("--to <path>", "the folder or file to write")
    .addOption(new Option("--format <name>", "of the output").choices(exportFormats).default(exportDefaults.format))
    .addOption(
      new Option("--store <type>", "of values in .npy files").choices(storedTypes).default(exportDefaults.store),
    )
    .option("--part-size <n>", "pictures of a .npy file", wholeNumber(1, 10_000_000), exportDefaults.partSize)
    .option("--json", "print { model, dim, rows }")
    .addOption(progressOption())
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(given: Options, command: Command, context: CommandContext): Promise<void> {
  const { index, progress, json, ...options } = given
  const signal = context.abortOnInterrupt("stopping: nothing is written")
  const result = await exportIndex(index, { ...options, startProgress: progressReporter(progress), signal })
  const { rows, dim, model } = result
  const text = `${options.to}: ${counted(rows, "picture")} by ${model}, ${dim} values each, of unit length\n`
  command.configureOutput().writeOut?.(json ? `${JSON.stringify(result, null, 2)}\n` : text)
}
