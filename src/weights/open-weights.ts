/** A file of weights, of any origin, as a model: our own checkpoints and everything the family is published in. */

import { existsSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import type { TensorFile } from "../core/containers/tensor-file.ts"
import { type VariantName, variants } from "../core/family/variants.ts"
import { isObject } from "../core/json.ts"
import type { ExportInfo } from "../export/export.ts"
import type { ExportableModel } from "../export/towers.ts"
import { openTensorFile } from "../host/containers/open-tensor-file.ts"
import { readJson } from "../host/files/files.ts"
import { repositoryFolder } from "../hub/cache.ts"
import { type Release, released } from "../hub/released.ts"
import { type CheckpointForm, isCheckpoint, loadAnyCheckpoint } from "../model/checkpoint/checkpoint.ts"
import { type DetectedModel, detectModel, type KnownAbout } from "../model/checkpoint/detect.ts"
import { withoutWrappers } from "../model/checkpoint/state-dict.ts"
import { publishedLicense } from "./license.ts"

export interface Weights {
  readonly model: ExportableModel
  readonly info: ExportInfo
  /** A fused model cannot be trained. */
  readonly form: CheckpointForm
  /** What the file was found to be, for people. */
  readonly description: string
}

/** Runs `use` while the file is open: values are read from it when they are needed. */
export async function withWeights<T>(
  path: string,
  wanted: string | null,
  use: (weights: Weights) => Promise<T>,
): Promise<T> {
  const file = await openTensorFile(path)
  try {
    return await use(isCheckpoint(file.metadata) ? own(file) : await publishedAt(path, file, wanted))
  } finally {
    file.close()
  }
}

function own(file: TensorFile): Weights {
  const { model, info, form } = loadAnyCheckpoint(file, file.name)
  return { model, info, form, description: `${info.name}, a checkpoint of ours, ${formText(form)}` }
}

async function publishedAt(path: string, file: TensorFile, wanted: string | null): Promise<Weights> {
  const hints = namesOf(path)
  const release = released.find(({ repo }) => hints.some((hint) => isRepository(hint, repo))) ?? null
  const stateDict = withoutWrappers({
    keys: file.tensors.keys(),
    shape: (key) => file.tensors.get(key)!.shape,
    read: (key) => file.readFloat32(key),
  })
  const found = detectModel(stateDict, file.name, await knownAbout(path, hints, wanted ?? release?.variant ?? null))
  return { model: found.model, info: infoOf(found, release), form: found.form, description: describe(found, file) }
}

/** What the user says, else what the hub's table says about its repository, and open_clip's file beside it. */
async function knownAbout(path: string, hints: readonly string[], wanted: string | null): Promise<KnownAbout> {
  const quickGelu = await configuredQuickGelu(join(dirname(path), "open_clip_config.json"))
  return { wanted, hints, ...(quickGelu !== null && { quickGelu }) }
}

/** `DFN2B-CLIP-ViT-L-14`, or `models--apple--DFN2B-CLIP-ViT-L-14` as in the hub's cache. */
function isRepository(folder: string, repo: string): boolean {
  return folder === repositoryFolder(repo) || folder === basename(repo)
}

async function configuredQuickGelu(path: string): Promise<boolean | null> {
  if (!existsSync(path)) return null
  const config = await readJson(path, "open_clip's configuration")
  const model: unknown = isObject(config) ? config.model_cfg : null
  return isObject(model) ? model.quick_gelu === true : null
}

/** The file's own name and those of the folders around it: the hub's cache has the repository's name there. */
function namesOf(path: string): string[] {
  const folders = [path, dirname(path), dirname(dirname(path)), dirname(dirname(dirname(path)))]
  return folders.map((folder) => basename(folder))
}

function infoOf({ name, preprocessing }: DetectedModel, release: Release | null): ExportInfo {
  const billions = name in variants ? (variants[name as VariantName].samplesSeen ?? 0) : 0
  return { name, license: publishedLicense(name, release), preprocessing, samplesSeen: billions * 1e9 }
}

const flavourTexts: Readonly<Record<DetectedModel["flavour"], string>> = {
  apple: "in Apple's names",
  openclip: "in open_clip's names",
  clip: "in CLIP's names",
  coca: "in open_clip's names for CoCa",
  timm: "the image tower alone, in timm's names",
}

function describe({ name, flavour, form }: DetectedModel, { format }: TensorFile): string {
  return `${name}, ${flavourTexts[flavour]}, ${formText(form)}, ${format}`
}

function formText(form: CheckpointForm): string {
  return form === "train" ? "in training form" : "fused"
}
