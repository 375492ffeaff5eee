/** mobileclip export */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { basename } from "node:path"
import type { Command } from "commander"
import { UserError } from "../../core/errors.ts"
import { SafetensorsFile } from "../../core/safetensors.ts"
import { exportModel } from "../../export/export.ts"
import { openRandomAccess } from "../../host/files.ts"
import { loadCheckpoint } from "../../model/checkpoint.ts"
import type { Clip } from "../../model/clip.ts"

export function register(program: Command): void {
  program
    .command("export")
    .description("turn a checkpoint into fused ONNX models, compared with the checkpoint on fixed inputs")
    .argument("<checkpoint>", "a safetensors file that `train` or `quickstart` wrote")
    .requiredOption("--out <dir>", "the model directory to write")
    .option("--json", "print the manifest")
    .action(runExport)
}

async function runExport(checkpoint: string, options: { out: string; json?: true }, command: Command): Promise<void> {
  const file = openRandomAccess(checkpoint)
  try {
    const { model, info } = loadCheckpoint(new SafetensorsFile(file), checkpoint)
    const source = { file: basename(checkpoint), sha256: await sha256(checkpoint) }
    const manifest = await exportModel(model, info, options.out, { source, ...(await reference(model)) })
    const { imageError, textError, reference: name } = manifest.verification
    const summary = `${options.out}: within ${Math.max(imageError, textError).toExponential(1)} standard deviations of ${name}`
    command.configureOutput().writeOut?.(`${options.json ? JSON.stringify(manifest, null, 2) : summary}\n`)
  } finally {
    file.close()
  }
}

/** libtorch where it was built; elsewhere the export compares with itself before fusing, and the manifest says so. */
async function reference(model: Clip) {
  try {
    const { torchReference } = await import("../torch-reference.ts")
    return { reference: torchReference(model) }
  } catch (error) {
    if (error instanceof UserError) return {}
    throw error
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest("hex")
}
