/** What is measured: towers of members of the family, whose weights are generated, and of models of one's own. */
import { existsSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { quoted, UserError } from "../../core/errors.ts"
import { published } from "../../core/family/published.ts"
import { findVariant } from "../../core/family/variant-name.ts"
import { type ClipConfig, imageTowers, textTowers, type VariantName, variants } from "../../core/family/variants.ts"
import type { OnnxDtype } from "../../core/precision.ts"
import type { TowerName } from "../../export/towers.ts"
import { type ClipFolder, folderDtype, readClipFolder } from "../../run/node.ts"
import { findModelFiles } from "../../weights/find-model.ts"
import { modelDirectory } from "../../weights/model-directory.ts"
import { type TowerCost, towerCost } from "./generated.ts"

/** CLIP's own towers, beside which the papers put theirs. */
const clipNames = ["vit-b-16", "vit-b-32", "vit-b-32-256"] as const satisfies readonly VariantName[]

/** The released models, and CLIP's ViT-B/16 and ViT-B/32, at 224 and at 256 pixels. */
export const familyNames: readonly VariantName[] = [...(Object.keys(published) as VariantName[]), ...clipNames]

/** Those of them that a minute is enough for: without S3, S4 and L/14. */
export const quickNames = familyNames.filter((name) => !/-(s3|s4|l14)$/.test(name))

export type Source =
  | { readonly kind: "generated"; readonly config: ClipConfig }
  | { readonly kind: "folder"; readonly folder: ClipFolder; readonly dtype: OnnxDtype }
  | { readonly kind: "checkpoint"; readonly path: string; readonly variant: string | null }

/** A tower, which is measured once for all models that have it. */
export interface Subject {
  readonly models: readonly string[]
  readonly tower: TowerName
  /** The key in the family's tables; null where it is in none. */
  readonly architecture: string | null
  /** Null where it is not known. */
  readonly cost: TowerCost | null
  readonly source: Source
}

interface SubjectOptions {
  readonly towers: readonly TowerName[]
  readonly runtime: "onnxruntime" | "libtorch"
  /** Types of the weights; null: what a folder has, and fp32 for others. */
  readonly dtypes: readonly OnnxDtype[] | null
  readonly say: (line: string) => void
}

/**
 * The towers of models, each a path or the name of a member of the family.
 *
 * @throws UserError where a name is not in the family, or a path holds no model
 */
export async function findSubjects(models: readonly string[], options: SubjectOptions): Promise<Subject[]> {
  const found: Subject[] = []
  for (const given of new Set(models)) {
    if (!existsSync(given)) addMember(found, memberNamed(given), options.towers)
    else found.push(...(await ownModel(given, options)))
  }
  requireOwnNames(found)
  return found
}

// ------------------------------------------------------------------------------------------------------ the family

function memberNamed(given: string): VariantName {
  try {
    return findVariant(given)
  } catch (error) {
    const hint = error instanceof UserError ? error.hint : undefined
    throw new UserError(`${quoted(given)} is neither a path on this machine nor a name of the family`, hint)
  }
}

function addMember(found: Subject[], name: VariantName, towers: readonly TowerName[]): void {
  const config: ClipConfig = variants[name].model
  for (const tower of towers) {
    const same = found.findIndex(({ source, tower: other }) => {
      return other === tower && source.kind === "generated" && isSameTower(source.config, config, tower)
    })
    const known = found[same]
    if (!known)
      found.push({ ...memberTower(config, tower), models: [name], tower, source: { kind: "generated", config } })
    else if (!known.models.includes(name)) found[same] = { ...known, models: [...known.models, name] }
  }
}

/** The projection's bias, which MobileCLIP2 has and MobileCLIP has not, takes no time that can be measured. */
function isSameTower(one: ClipConfig, other: ClipConfig, tower: TowerName): boolean {
  const parts = ({ image, imageSize, text, embedDim }: ClipConfig) =>
    tower === "image" ? { image, imageSize, embedDim } : { text, embedDim }
  return isDeepStrictEqual(parts(one), parts(other))
}

function memberTower(config: ClipConfig, tower: TowerName): Pick<Subject, "architecture" | "cost"> {
  const table = tower === "image" ? imageTowers : textTowers
  const entry = Object.entries(table).find(([, row]) => isDeepStrictEqual(row, config[tower]))
  return { architecture: entry?.[0] ?? null, cost: towerCost(config, tower) }
}

// -------------------------------------------------------------------------------------------------- one's own models

async function ownModel(given: string, options: SubjectOptions): Promise<Subject[]> {
  if (options.runtime === "libtorch") return checkpointSubjects(given, options)
  const subjects: Subject[] = []
  for (const dtype of options.dtypes ?? [null]) {
    const directory = await modelDirectory(given, { dtype, onStage: options.say })
    const folder = await readClipFolder(directory, dtype === null ? {} : { dtype })
    subjects.push(...folderSubjects(folder, dtype, options.towers))
  }
  return subjects
}

function folderSubjects(folder: ClipFolder, dtype: OnnxDtype | null, towers: readonly TowerName[]): Subject[] {
  const { description, text } = folder
  const there = towers.filter((tower) => tower === "image" || text !== null)
  if (there.length === 0) throw new UserError(`${description.name} has no text tower`, "leave out --tower")
  return there.map((tower) => ({
    models: [description.name],
    tower,
    ...knownTower(folder, tower),
    source: { kind: "folder", folder, dtype: dtype ?? folderDtype(folder, tower) },
  }))
}

/** A manifest's configuration was not checked against its files: the cost is the family's where it is one of its members, else unknown. */
function knownTower({ manifest }: ClipFolder, tower: TowerName): Pick<Subject, "architecture" | "cost"> {
  const config = manifest?.config
  const member = Object.values(variants).find(
    ({ model }) => config && "text" in config && isSameTower(model, config as ClipConfig, tower),
  )
  return member ? memberTower(member.model, tower) : { architecture: null, cost: null }
}

async function checkpointSubjects(given: string, { towers }: SubjectOptions): Promise<Subject[]> {
  const { kind, name, path, variant } = await findModelFiles(given, { pull: null })
  if (kind === "directory") {
    throw new UserError(
      `${name} is a folder of ONNX files, which libtorch does not run`,
      "give the checkpoint they were made from, or leave out --runtime",
    )
  }
  const source = { kind: "checkpoint", path, variant } as const
  return towers.map((tower) => ({ models: [name], tower, architecture: null, cost: null, source }))
}

/** Two folders may hold models of one name, and results are told apart by names. */
function requireOwnNames(subjects: readonly Subject[]): void {
  const keys = subjects.flatMap(({ models, tower, source }) =>
    models.map((model) => `${model} ${tower} ${source.kind === "folder" ? source.dtype : ""}`),
  )
  const twice = keys.find((key, i) => keys.indexOf(key) !== i)
  if (twice === undefined) return
  throw new UserError(
    `two of the models are named ${twice.split(" ")[0]}`,
    "measure them one at a time, or convert one of them under another name",
  )
}
