/** mobileclip export */
import type { Command } from "commander"
import { worstError } from "../../core/inference/manifest.ts"
import { exportCheckpoint } from "../../weights/export-checkpoint.ts"
import type { CommandContext } from "../context.ts"

interface Options {
  readonly out: string
  readonly json?: true
}

export function register(program: Command, context: CommandContext): void {
  program
    .command("export")
    .description("turn a checkpoint into fused ONNX models, compared with the checkpoint on fixed inputs")
    .argument("<checkpoint>", "a safetensors file that `train` or `quickstart` wrote")
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--json", "print the manifest")
    .action((checkpoint: string, options: Options, command: Command) => {
      // An export takes seconds: it finishes, so that nothing incomplete is left.
      return runExport(checkpoint, options, command, context.abortOnInterrupt())
    })
}

async function runExport(
  checkpoint: string,
  { out, json }: Options,
  command: Command,
  signal: AbortSignal,
): Promise<void> {
  const manifest = await exportCheckpoint(checkpoint, { out, signal })
  const { reference } = manifest.verification
  const error = worstError(manifest.verification).toExponential(1)
  const summary = `exported to ${out}; differs from ${reference} by ${error} standard deviations at most`
  command.configureOutput().writeOut?.(`${json ? JSON.stringify(manifest, null, 2) : summary}\n`)
}
