/**
 * A model as a directory that ONNX Runtime, transformers.js and `run` can use: fused towers, configuration, manifest.
 * The layout is described in `core/manifest.ts`.
 */
import { createHash } from "node:crypto"
import { mkdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Manifest, manifestFile, manifestFormat, towers } from "../core/manifest.ts"
import { writeAtomically, writeDirectoryAtomically } from "../host/files.ts"
import type { CheckpointInfo } from "../model/checkpoint.ts"
import type { Clip } from "../model/clip.ts"
import { reparameterize } from "../model/reparameterize.ts"
import { traceTower } from "./towers.ts"
import { transformersFiles } from "./transformers.ts"
import { type Reference, unfusedReference, verify } from "./verify.ts"

export interface ExportOptions {
  /** The checkpoint the model was loaded from. */
  readonly source?: Manifest["source"]
  /** What the written files are compared with; default: the model as it is given, on ONNX Runtime. */
  readonly reference?: Reference
}

/**
 * Writes `model` (in training form or fused) to `directory`, which is replaced if it held a model. Compares the files
 * with the reference first; if they differ, or anything else fails, nothing is left and a UserError says why.
 */
export async function exportModel(
  model: Clip,
  info: CheckpointInfo,
  directory: string,
  { source = null, reference = unfusedReference(model) }: ExportOptions = {},
): Promise<Manifest> {
  const fused = reparameterize(model)
  const build = async (folder: string) => {
    const files = await writeFiles(folder, fused, info)
    const manifest = { ...describe(fused, info), source, files, ...(await verify(folder, model, reference)) }
    await writeAtomically(join(folder, manifestFile), [json(manifest)])
    return manifest
  }
  return writeDirectoryAtomically(directory, build, manifestFile)
}

function describe(model: Clip, info: CheckpointInfo): Omit<Manifest, "source" | "files" | "verification" | "selfTest"> {
  const { name, license, samplesSeen, preprocessing, config } = info
  return {
    format: manifestFormat,
    name,
    license,
    samplesSeen,
    embedDim: config.embedDim,
    contextLength: config.text.contextLength,
    logitScale: Math.min(Math.exp(model.logitScale.read()[0]!), 100),
    preprocessing,
    parameters: { image: model.image.learnedSize(), text: model.text.learnedSize() },
    config,
  }
}

type Files = Manifest["files"]

async function writeFiles(folder: string, model: Clip, info: CheckpointInfo): Promise<Files> {
  const metadata = { name: info.name, license: info.license, preprocessing: JSON.stringify(info.preprocessing) }
  const files: Files = {}
  for (const tower of ["image", "text"] as const) {
    const { file } = towers[tower]
    files[file] = await writeHashed(join(folder, file), traceTower(tower, model, metadata).chunks())
  }
  for (const [file, value] of Object.entries(transformersFiles(info.config, info.preprocessing))) {
    files[file] = await writeHashed(join(folder, file), [new TextEncoder().encode(json(value))])
  }
  return files
}

async function writeHashed(path: string, chunks: Iterable<Uint8Array>): Promise<Files[string]> {
  const hash = createHash("sha256")
  let bytes = 0
  function* hashed() {
    for (const chunk of chunks) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  await mkdir(dirname(path), { recursive: true })
  await writeAtomically(path, hashed())
  return { bytes, sha256: hash.digest("hex") }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
