/** A model directory or a checkpoint: what it is, whether its files are whole, whether it computes what it should. */
import { existsSync } from "node:fs"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { type VariantName, variants } from "../core/family/variants.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { type Manifest, manifestFile, parseManifest, worstError } from "../core/inference/manifest.ts"
import { exportModel } from "../export/export.ts"
import { readJson } from "../host/files/files.ts"
import { temporaryFolder } from "../host/files/temporary.ts"
import { loadModel } from "../run/node.ts"
import { findModelFiles } from "../weights/find-model.ts"
import { sourceOf } from "../weights/open-checkpoint.ts"
import { type Weights, withWeights } from "../weights/open-weights.ts"
import { type Check, checksOf } from "./check.ts"
import { selfTestChecks } from "./self-test.ts"

const { ok, warning, problem, failed } = checksOf("Model")

/** @param given a model, whatever a user calls it; only what is on this machine counts */
export async function modelChecks(given: string): Promise<Check[]> {
  try {
    const { kind, path, variant } = await findModelFiles(given, { pull: null })
    return await (kind === "directory" ? directoryChecks(path) : checkpointChecks(path, variant))
  } catch (error) {
    return [failed("model", error)]
  }
}

async function directoryChecks(directory: string): Promise<Check[]> {
  const path = join(directory, manifestFile)
  if (!existsSync(path)) return checksOfOthers(directory)
  const manifest = parseManifest(await readJson(path, "a model's manifest"), path)
  return [
    manifestCheck(manifest),
    ...(await fileChecks(directory, manifest)),
    preprocessingCheck(manifest.name, manifest.preprocessing),
    ...(await selfTestChecks(directory, manifest)),
  ]
}

/** In a layout that has no manifest, so that there is nothing to compare with but its files with each other. */
async function checksOfOthers(directory: string): Promise<Check[]> {
  await using model = await loadModel(directory)
  const { name, embedDim, preprocessing } = model
  const text = `${name}, ${embedDim} values: both run, and are what the files beside them say; no manifest says what they should give`
  return [ok("towers", text, { facts: { name, embedDim } }), preprocessingCheck(name, preprocessing)]
}

function manifestCheck({ name, license, source, embedDim, parameters, samplesSeen }: Manifest): Check {
  const millions = Object.values(parameters).map((count = 0) => (count / 1e6).toFixed(1))
  const origin = source ? `from ${source.file} (sha256 ${source.sha256.slice(0, 12)}…)` : "from memory"
  const text = `${name}, ${millions.join(" + ")} M parameters, ${embedDim} values, ${origin}, licence: ${license}`
  return ok("manifest", text, { facts: { name, license, source, embedDim, parameters, samplesSeen } })
}

/** A checkpoint is tested as what becomes of it: exported to a folder that is removed afterwards. */
function checkpointChecks(path: string, variant: string | null): Promise<Check[]> {
  return withWeights(path, variant, async (checkpoint) => {
    const { name, preprocessing } = checkpoint.info
    const checks = [await checkpointCheck(path, checkpoint), preprocessingCheck(name, preprocessing)]
    using folder = temporaryFolder("doctor")
    return [...checks, ...(await exportedChecks(checkpoint, join(folder.path, "model")))]
  })
}

async function exportedChecks({ model, info }: Weights, directory: string): Promise<Check[]> {
  try {
    const manifest = await exportModel(model, info, directory)
    const { reference } = manifest.verification
    const text = `fused towers differ by ${worstError(manifest.verification).toExponential(1)} standard deviations from ${reference}`
    return [ok("export", text, { facts: manifest.verification }), ...(await selfTestChecks(directory, manifest))]
  } catch (error) {
    return [failed("export", error)]
  }
}

async function checkpointCheck(path: string, { info, form, model }: Weights): Promise<Check> {
  const { name, license, samplesSeen } = info
  const { sha256 } = await sourceOf(path)
  const parameters = {
    image: model.image.learnedSize(),
    ...("text" in model && { text: model.text.learnedSize() }),
    ...("decoder" in model && { decoder: model.decoder.learnedSize() }),
  }
  const millions = Object.values(parameters).map((count) => (count / 1e6).toFixed(1))
  const text = `${name}, ${form === "train" ? "in training form" : "fused"}, ${millions.join(" + ")} M parameters, sha256 ${sha256.slice(0, 12)}…, licence: ${license}`
  return ok("checkpoint", text, { facts: { name, license, form, samplesSeen, sha256, parameters } })
}

/** A problem for each file that is wrong; one line where all are right. */
async function fileChecks(directory: string, { files, towers }: Manifest): Promise<Check[]> {
  const wrong: Check[] = []
  for (const [file, expected] of Object.entries(files)) {
    const fault = await faultOf(join(directory, file), expected)
    if (fault) wrong.push(fileProblem(file, fault))
  }
  const named = Object.values(towers).flatMap((tower) => (tower ? [tower.file] : []))
  const unlisted = named.filter((file) => !Object.hasOwn(files, file))
  wrong.push(...unlisted.map((file) => fileProblem(file, "is not in the manifest")))
  if (wrong.length > 0) return wrong
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0)
  const count = Object.keys(files).length
  return [
    ok("files", `${count}, ${(bytes / 1e6).toFixed(1)} MB, sizes and sha256 as listed`, { facts: { count, bytes } }),
  ]
}

async function faultOf(path: string, expected: Manifest["files"][string]): Promise<string | null> {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) return "is missing"
  if (found.size !== expected.bytes) return `has ${found.size} bytes, and the manifest says ${expected.bytes}`
  const { sha256 } = await sourceOf(path)
  return sha256 === expected.sha256
    ? null
    : `is damaged: sha256 ${sha256.slice(0, 12)}…, not ${expected.sha256.slice(0, 12)}…`
}

function fileProblem(file: string, fault: string): Check {
  return problem(file, fault, { fix: "copy or export the model again", facts: { file } })
}

/** What happens to a picture before the tower sees it, and whether the family agrees. */
export function preprocessingCheck(name: string, preprocessing: Preprocessing): Check {
  const text = preprocessingText(preprocessing)
  const facts = { preprocessing }
  const family = Object.hasOwn(variants, name) ? variants[name as VariantName].preprocessing : null
  if (!family || preprocessingText(family) === text) return ok("preprocessing", text, { facts })
  const fix = `${name} is published with: ${preprocessingText(family)}; other preprocessing costs accuracy`
  return warning("preprocessing", text, { fix, facts })
}

function preprocessingText({ size, interpolation, mean, std }: Preprocessing): string {
  const resize = `shorter side to ${size} pixels (${interpolation}, antialiased as in Pillow), center ${size} x ${size}`
  const plain = mean.every((value) => value === 0) && std.every((value) => value === 1)
  if (plain) return `${resize}, RGB in 0..1 as it is (mean 0, std 1)`
  return `${resize}, RGB in 0..1 minus ${mean.join(" ")} divided by ${std.join(" ")}`
}
