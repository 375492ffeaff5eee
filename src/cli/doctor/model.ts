/** A model directory or a checkpoint: what it is, whether its files are whole, whether it computes what it should. */
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { type Manifest, manifestFile, parseManifest, worstError } from "../../core/inference/manifest.ts"
import { exportModel } from "../../export/export.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readJson } from "../../host/files/files.ts"
import { temporaryFolder } from "../../host/files/temporary.ts"
import type { LoadedCheckpoint } from "../../model/checkpoint/checkpoint.ts"
import { sourceOf, withCheckpoint } from "../../weights/open-checkpoint.ts"
import { type Check, checksOf } from "./check.ts"
import { fileChecks } from "./model-files.ts"
import { preprocessingCheck } from "./preprocessing.ts"
import { selfTestChecks } from "./self-test.ts"

const { ok, failed } = checksOf("Model")

export async function modelChecks(path: string): Promise<Check[]> {
  try {
    const isDirectory = (
      await stat(path).catch((error) => Promise.reject(fileError(error, "reading", path)))
    ).isDirectory()
    return await (isDirectory ? directoryChecks(path) : checkpointChecks(path))
  } catch (error) {
    return [failed("model", error)]
  }
}

async function directoryChecks(directory: string): Promise<Check[]> {
  const path = join(directory, manifestFile)
  const manifest = parseManifest(await readJson(path, "a model's manifest"), path)
  return [
    manifestCheck(manifest),
    ...(await fileChecks(directory, manifest)),
    preprocessingCheck(manifest.name, manifest.preprocessing),
    ...(await selfTestChecks(directory, manifest)),
  ]
}

function manifestCheck({ name, license, source, embedDim, parameters, samplesSeen }: Manifest): Check {
  const millions = Object.values(parameters).map((count = 0) => (count / 1e6).toFixed(1))
  const origin = source ? `from ${source.file} (sha256 ${source.sha256.slice(0, 12)}…)` : "from memory"
  const text = `${name}, ${millions.join(" + ")} M parameters, ${embedDim} values, ${origin}, licence: ${license}`
  return ok("manifest", text, { facts: { name, license, source, embedDim, parameters, samplesSeen } })
}

/** A checkpoint is tested as what becomes of it: exported to a folder that is removed afterwards. */
function checkpointChecks(path: string): Promise<Check[]> {
  return withCheckpoint(path, async (checkpoint) => {
    const { name, preprocessing } = checkpoint.info
    const checks = [await checkpointCheck(path, checkpoint), preprocessingCheck(name, preprocessing)]
    using folder = temporaryFolder("doctor")
    return [...checks, ...(await exportedChecks(checkpoint, join(folder.path, "model")))]
  })
}

async function exportedChecks({ model, info }: LoadedCheckpoint, directory: string): Promise<Check[]> {
  try {
    const manifest = await exportModel(model, info, directory)
    const { reference } = manifest.verification
    const text = `fused towers differ by ${worstError(manifest.verification).toExponential(1)} standard deviations from ${reference}`
    return [ok("export", text, { facts: manifest.verification }), ...(await selfTestChecks(directory, manifest))]
  } catch (error) {
    return [failed("export", error)]
  }
}

async function checkpointCheck(path: string, { info, form, model }: LoadedCheckpoint): Promise<Check> {
  const { name, license, samplesSeen } = info
  const { sha256 } = await sourceOf(path)
  const parameters = {
    image: model.image.learnedSize(),
    text: model.text.learnedSize(),
    ...("decoder" in model && { decoder: model.decoder.learnedSize() }),
  }
  const millions = Object.values(parameters).map((count) => (count / 1e6).toFixed(1))
  const text = `${name}, ${form === "train" ? "in training form" : "fused"}, ${millions.join(" + ")} M parameters, sha256 ${sha256.slice(0, 12)}…, licence: ${license}`
  return ok("checkpoint", text, { facts: { name, license, form, samplesSeen, sha256, parameters } })
}
