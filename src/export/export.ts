/**
 * A model as a directory that ONNX Runtime, transformers.js and `run` can use: folded towers, configuration, manifest.
 * The layout is described in `layouts.ts` and `core/inference/manifest.ts`. Weights stream from the checkpoint to the files.
 */
import { createHash } from "node:crypto"
import { mkdir } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import {
  type Manifest,
  manifestFile,
  manifestFormat,
  type TowerFile,
  type TowerFiles,
} from "../core/inference/manifest.ts"
import { type DirectoryDtype, dtypeOfPart } from "../core/precision.ts"
import { writeAtomically } from "../host/files/files.ts"
import { writeDirectoryAtomically } from "../host/files/folder.ts"
import type { CheckpointInfo } from "../model/checkpoint/checkpoint.ts"
import { Coca } from "../model/coca.ts"
import { fold, reparameterize } from "../model/reparameterize.ts"
import type { EncodedFile, EncodedModel } from "../tensor/onnx-proto.ts"
import { type LayoutName, layouts } from "./layouts.ts"
import { modelFiles } from "./model-files.ts"
import { tokenizerFacts } from "./normalizer.ts"
import type { SideConfig } from "./side-config.ts"
import { type ExportableModel, type TraceOptions, towersOf, traceDecoder, traceTower } from "./towers.ts"
import { type Described, type Reference, unfusedReference, verify } from "./verify.ts"

interface ExportOptions {
  /** The checkpoint the model was loaded from. */
  readonly source?: Manifest["source"]
  /** What the written files are compared with; default: the model as it is given, on ONNX Runtime. */
  readonly reference?: Reference
  readonly dtype?: DirectoryDtype
  readonly layout?: LayoutName
  /** Files that would be larger keep their weights beside them; default: protobuf's 2 GiB. */
  readonly maxBytes?: number
  /** Is told what is being done. */
  readonly onStage?: (stage: string) => void
}

/** What a model directory says about its origin. */
export type ExportInfo = Pick<CheckpointInfo, "name" | "license" | "preprocessing" | "samplesSeen">

/**
 * Writes `model` (in training form or fused) to `directory`, which is replaced if it held a model and nothing else. Compares
 * the files with the reference first; if they differ, or anything else fails, nothing is left and a UserError says why.
 */
export async function exportModel(
  model: ExportableModel,
  info: ExportInfo,
  directory: string,
  options: ExportOptions = {},
): Promise<Manifest> {
  const { source = null, reference = unfusedReference(model), onStage } = options
  const fused = reparameterize(model)
  const folded = fold(fused)
  const build = async (folder: string) => {
    const files = await writeFiles(folder, folded, info, options)
    onStage?.("comparing the files with the checkpoint")
    const described = describe(fused, info, options)
    const verified = await verify(folder, model, described, reference)
    const manifest = { ...described, source, files, ...verified }
    await writeAtomically(join(folder, manifestFile), [json(manifest)])
    return manifest
  }
  return writeDirectoryAtomically(directory, build, modelFiles)
}

function describe(model: ExportableModel, info: ExportInfo, options: ExportOptions): Described {
  const { name, license, samplesSeen, preprocessing } = info
  const { dtype = "fp32", layout = "transformers.js" } = options
  const { image, text, decoder } = layouts[layout].towers(dtype)
  const { tokenizer } = layouts[layout]
  const isCoca = model instanceof Coca
  return {
    format: manifestFormat,
    name,
    license,
    samplesSeen,
    embedDim: model.config.embedDim,
    contextLength: "text" in model ? model.config.text.contextLength : null,
    logitScale: "logitScale" in model ? Math.min(Math.exp(model.logitScale.read()[0]!), 100) : null,
    dtype,
    layout,
    towers: { image, ...("text" in model && { text }), ...(isCoca && { decoder }) },
    ...("text" in model && tokenizer && { tokenizer: { file: tokenizer, ...tokenizerFacts } }),
    ...(isCoca && { decoder: decoderSizes(model) }),
    preprocessing,
    parameters: {
      image: model.image.learnedSize(),
      ...("text" in model && { text: model.text.learnedSize() }),
      ...(isCoca && { decoder: model.decoder.learnedSize() }),
    },
    config: model.config,
  }
}

/** What a captioner's manifest says about its decoder. */
export function decoderSizes(model: Coca): NonNullable<Manifest["decoder"]> {
  const { vocabSize, contextLength } = model.config.text
  return { cacheWidth: model.cacheWidth, memoryWidth: model.memoryWidth, vocabSize, contextLength }
}

type Files = Manifest["files"]
type Part = keyof TowerFiles

async function writeFiles(
  folder: string,
  model: ExportableModel,
  info: ExportInfo,
  { dtype = "fp32", layout = "transformers.js", maxBytes, onStage }: ExportOptions,
): Promise<Files> {
  const metadata = { name: info.name, license: info.license, preprocessing: JSON.stringify(info.preprocessing) }
  const paths = layouts[layout].towers(dtype)
  const files: Files = {}
  const write = async (part: Part, trace: (place: TowerFile, options: TraceOptions) => EncodedModel) => {
    const place = paths[part]
    onStage?.(`writing ${place.file}`)
    const dataFile = `${basename(place.file)}_data`
    const encode = { dataFile, ...(maxBytes !== undefined && { maxBytes }) }
    const encoded = trace(place, { metadata, dtype: dtypeOfPart(dtype, part), encode })
    files[place.file] = await writeHashed(join(folder, place.file), encoded)
    const beside = join(dirname(place.file), dataFile)
    if (encoded.external) files[beside] = await writeHashed(join(folder, beside), encoded.external)
  }
  for (const tower of towersOf(model)) await write(tower, (place, o) => traceTower(tower, model, place, o))
  if (model instanceof Coca) await write("decoder", (place, o) => traceDecoder(model, place, o))
  const withData = Object.keys(files).flatMap((file) => (`${file}_data` in files ? [basename(file)] : []))
  for (const [file, value] of Object.entries(sideFiles(model, info, layout, { dtype, withData }))) {
    const bytes = new TextEncoder().encode(json(value))
    files[file] = await writeHashed(join(folder, file), { byteLength: bytes.length, chunks: () => [bytes] })
  }
  return files
}

function sideFiles(
  model: ExportableModel,
  { preprocessing }: ExportInfo,
  layout: LayoutName,
  written: Pick<SideConfig, "dtype" | "withData">,
) {
  const contextLength = "text" in model ? model.config.text.contextLength : 77
  return layouts[layout].files({ embedDim: model.config.embedDim, contextLength, ...written }, preprocessing)
}

async function writeHashed(path: string, file: EncodedFile): Promise<Files[string]> {
  const hash = createHash("sha256")
  let bytes = 0
  function* hashed() {
    for (const chunk of file.chunks()) {
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
