/** mobileclip export */
import { type Command, Option } from "commander"
import { worstError } from "../../core/inference/manifest.ts"
import { type DirectoryDtype, directoryDtypes } from "../../core/precision.ts"
import { checkModelDirectory } from "../../export/model-files.ts"
import { exportCheckpoint } from "../../weights/export-checkpoint.ts"
import { findModelFiles } from "../../weights/find-model.ts"
import type { CommandContext } from "../context.ts"
import { nextLine } from "../converting.ts"
import { shownPull } from "../pulling.ts"

interface Options {
  readonly out: string
  readonly license?: string
  readonly dtype: DirectoryDtype
  readonly json?: true
}

export function register(program: Command, context: CommandContext): void {
  program
    .command("export")
    .description("turn a checkpoint into fused ONNX models, compared with the checkpoint on fixed inputs")
    .argument(
      "<checkpoint>",
      "what `train`, `finetune` or `quickstart` wrote: a run's folder or its file; or weights, as for `convert`",
    )
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--license <name>", "licence of a model that is yours, for its files (default: what the checkpoint says)")
    .addOption(
      new Option("--dtype <type>", "type of the weights; mixed is for browsers: pictures in fp16, texts in fp32")
        .choices(directoryDtypes)
        .default("fp32"),
    )
    .option("--json", "print the manifest")
    .action((checkpoint: string, options: Options, command: Command) => {
      // An export takes seconds: it finishes, so that nothing incomplete is left.
      return runExport(checkpoint, options, command, context.abortOnInterrupt())
    })
}

async function runExport(
  checkpoint: string,
  { out, dtype, license, json }: Options,
  command: Command,
  signal: AbortSignal,
): Promise<void> {
  const { writeOut, writeErr } = command.configureOutput()
  // Before a download.
  await checkModelDirectory(out)
  const { path } = await findModelFiles(checkpoint, { wantsWeights: true, pull: shownPull(writeErr), signal })
  const manifest = await exportCheckpoint(path, { out, dtype, license, signal })
  const { reference } = manifest.verification
  const error = worstError(manifest.verification).toExponential(1)
  const summary = `exported to ${out}; differs from ${reference} by ${error} standard deviations at most\n${nextLine(manifest, out)}`
  writeOut?.(`${json ? JSON.stringify(manifest, null, 2) : summary}\n`)
}
