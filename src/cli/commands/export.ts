/** mobileclip export */
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { exportModel } from "../../export/export.ts"
import { checkModelDirectory } from "../../export/model-files.ts"
import { lockPlace } from "../../host/lock.ts"
import type { CheckpointModel } from "../../model/checkpoint.ts"
import { sourceOf, withCheckpoint } from "../../weights/checkpoint.ts"
import type { CommandContext } from "../context.ts"
import { worstError } from "../converting.ts"

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
      // An export takes seconds and leaves nothing half-done when it may finish.
      context.abortOnInterrupt()
      return runExport(checkpoint, options, command)
    })
}

async function runExport(checkpoint: string, { out, json }: Options, command: Command): Promise<void> {
  await checkModelDirectory(out)
  using _ = await lockPlace(out, "mobileclip export")
  const manifest = await withCheckpoint(checkpoint, async ({ model, info }) =>
    exportModel(model, info, out, { source: await sourceOf(checkpoint), ...(await bestReference(model)) }),
  )
  const { reference } = manifest.verification
  const error = worstError(manifest.verification).toExponential(1)
  const summary = `exported to ${out}; differs from ${reference} by ${error} standard deviations at most`
  command.configureOutput().writeOut?.(`${json ? JSON.stringify(manifest, null, 2) : summary}\n`)
}

/** libtorch where it was built; elsewhere the files are compared with the model before fusing, and the manifest says so. */
async function bestReference(model: CheckpointModel) {
  try {
    const { torchReference } = await import("../../export/torch-reference.ts")
    return { reference: torchReference(model) }
  } catch (error) {
    if (error instanceof UserError) return {}
    throw error
  }
}
