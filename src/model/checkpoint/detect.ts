/**
 * Which published model a file holds, told by its contents: the flavour by a few names, the member of the family and its
 * form by all names and shapes. The file's own name only decides where contents cannot.
 */
import { quoted, UserError } from "../../core/errors.ts"
import { bareName } from "../../core/family/variant-name.ts"
import {
  type ClipConfig,
  type CocaConfig,
  captioners,
  type ImageEncoderConfig,
  variants,
} from "../../core/family/variants.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { Clip, ImageEncoder } from "../clip.ts"
import { Coca } from "../coca.ts"
import { reparameterize } from "../reparameterize.ts"
import { loadStateDict, type StateDict } from "./state-dict.ts"
import { type KeyFlavour, publishedTensors } from "./weights.ts"

type AnyModel = Clip | Coca | ImageEncoder

export interface DetectedModel {
  /** Key of the variant table, for example `mobileclip2-s0`. */
  readonly name: string
  readonly flavour: KeyFlavour
  readonly form: "train" | "reparameterized"
  readonly preprocessing: Preprocessing
  /** Values are read when needed. */
  readonly model: AnyModel
}

interface Candidate {
  readonly name: string
  readonly preprocessing: Preprocessing
  build(): AnyModel
}

/** What is known from elsewhere. */
export interface KnownAbout {
  /** A key of the variant table; else the contents decide. */
  readonly wanted?: string | null
  /** Names the file goes by (its own, its folders'), used where contents leave a choice. */
  readonly hints?: readonly string[]
  /** What a configuration beside the file says of its activation, which no tensor tells. */
  readonly quickGelu?: boolean
}

/**
 * The model in a published file, bound to its tensors.
 * Throws UserError when nothing fits, naming the tensors at fault in the nearest model, or when several models with
 * different functions or preprocessing fit and no hint decides.
 */
export function detectModel(stateDict: StateDict, source: string, known: KnownAbout = {}): DetectedModel {
  const { wanted = null } = known
  const keys = new Set([...stateDict.keys].filter((key) => !ignoredKeys.has(key)))
  const present: StateDict = { ...stateDict, keys }
  const flavour = flavourOf(keys, source)
  const candidates = candidatesOf(flavour, present).filter(({ name }) => wanted === null || name === wanted)
  const tried = candidates.flatMap((candidate) => forms(candidate, flavour, present))
  const fitting = tried.filter(({ mismatches }) => mismatches === 0)
  const best = fitting.length > 0 ? choose(fitting, present, source, known) : nearestOf(tried, source, wanted)
  loadStateDict(best.model, present, flavour, source)
  return { name: best.name, flavour, form: best.form, preprocessing: best.preprocessing, model: best.model }
}

/** Constants that old files carry beside their weights; they are not part of a model. */
const ignoredKeys: ReadonlySet<string> = new Set([
  "attn_mask",
  "text.attn_mask",
  "input_resolution",
  "context_length",
  "vocab_size",
])

// ------------------------------------------------------------------------------------------------------- flavours

function flavourOf(keys: ReadonlySet<string>, source: string): KeyFlavour {
  const some = (prefix: string) => [...keys].some((key) => key.startsWith(prefix))
  if (some("image_encoder.model.")) return "apple"
  if (some("visual.trunk.")) return "openclip"
  if (some("text_decoder.")) return "coca"
  if (some("visual.conv1.")) return "clip"
  if (some("stem.") || some("patch_embed.")) return "timm"
  throw new UserError(
    `${source}: no model of the family has tensors like ${[...keys].slice(0, 3).map(quoted).join(", ")}`,
    "known are Apple's, open_clip's, CLIP's, CoCa's and timm's files",
  )
}

function candidatesOf(flavour: KeyFlavour, file: StateDict): Candidate[] {
  if (flavour === "coca") {
    // Published captioners have a ViT; there are no published names for another.
    return Object.entries(captioners).flatMap(([name, { model, preprocessing }]) =>
      model.image.kind === "vit" ? [{ name, preprocessing, build: () => new Coca(withContext(model, file)) }] : [],
    )
  }
  return Object.entries(variants).flatMap(([name, { model, preprocessing, keys }]): Candidate[] => {
    const config: ClipConfig = model
    if (flavour === keys) return [{ name, preprocessing, build: () => new Clip(config) }]
    if (keys === "clip") return []
    // v1 weights converted: timm's head has a bias, and it is zero. The function stays the one they were trained in.
    const converted: ClipConfig & ImageEncoderConfig = { ...config, headBias: true }
    if (flavour === "openclip" && config.text.kind === "base") {
      return [{ name, preprocessing, build: () => new Clip(converted) }]
    }
    return flavour === "timm" ? [{ name, preprocessing, build: () => new ImageEncoder(converted) }] : []
  })
}

/** Captioners were released for several lengths of captions; the table of positions has one more, for the class token. */
function withContext(config: CocaConfig, file: StateDict): CocaConfig {
  const key = "text.positional_embedding"
  const rows = new Set(file.keys).has(key) ? file.shape(key)[0]! : 0
  return rows > 1 ? { ...config, text: { ...config.text, contextLength: rows - 1 } } : config
}

// ---------------------------------------------------------------------------------------------------------- fits

interface Fit extends Candidate {
  readonly form: DetectedModel["form"]
  readonly model: AnyModel
  /** Names and shapes in which file and model differ. */
  readonly mismatches: number
}

function forms(candidate: Candidate, flavour: KeyFlavour, file: StateDict): Fit[] {
  const train = candidate.build()
  const fit = (form: Fit["form"], model: AnyModel): Fit => {
    return { ...candidate, form, model, mismatches: countMismatches(model, flavour, file) }
  }
  const fits = [fit("train", train)]
  const fused = reparameterize(train)
  return fused.namedParameters().size === train.namedParameters().size ? fits : [...fits, fit("reparameterized", fused)]
}

function countMismatches(model: AnyModel, flavour: KeyFlavour, file: StateDict): number {
  const keys = new Set(file.keys)
  const expected = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  const wrong = [...expected].filter(([key, shape]) => !keys.has(key) || String(file.shape(key)) !== String(shape))
  return wrong.length + [...keys].filter((key) => !expected.has(key)).length
}

/** The nearest model, whose loading will say what is wrong; or, where the wanted name has no such files, what has. */
function nearestOf(tried: readonly Fit[], source: string, wanted: string | null): Fit {
  const [nearest] = tried.toSorted((a, b) => a.mismatches - b.mismatches)
  if (nearest) return nearest
  throw new UserError(`${source}: the names in the file are not those of ${wanted ?? "any model"}`)
}

// --------------------------------------------------------------------------------------------------------- choices

function choose(fitting: readonly Fit[], file: StateDict, source: string, { hints = [], quickGelu }: KnownAbout): Fit {
  const possible = byHeadBias(fitting, file).filter((fit) => quickGelu === undefined || isQuickGelu(fit) === quickGelu)
  const [first] = possible
  if (!first) throw new UserError(`${source}: its configuration and its weights are of different models`)
  // Every ViT-L/14 has that name, whatever its activation: only the longer name tells them apart.
  const telling = possible.some(isQuickGelu) ? possible.filter(isQuickGelu) : possible
  const hinted = telling.filter(({ name }) => hints.some((hint) => bareName(hint).includes(bareName(name))))
  // `mobileclip-b` is in `mobileclip-blt` too: the longest name counts.
  const [named] = hinted.toSorted((a, b) => b.name.length - a.name.length)
  if (named) return named
  if (possible.every((fit) => sameFunction(fit, first))) return first
  throw new UserError(
    `${source}: the weights fit ${possible.map(({ name }) => name).join(" and ")}, which compute different functions`,
    `say which it is: --model ${possible.map(({ name }) => name).join(" or --model ")}`,
  )
}

/**
 * MobileCLIP-B is two functions of the same tensors. v1 weights, which Apple's code trained, have a head bias of zero
 * where they were converted; weights trained in open_clip have a learned one.
 */
function byHeadBias(fitting: readonly Fit[], file: StateDict): readonly Fit[] {
  const key = ["visual.trunk.head.bias", "head.bias"].find((name) => new Set(file.keys).has(name))
  const stems = fitting.flatMap(({ model }) =>
    "kind" in model.config.image && model.config.image.kind === "vit-conv-stem" ? [model.config.image] : [],
  )
  if (key === undefined || stems.length < fitting.length) return fitting
  const converted = file.read(key).every((value) => value === 0)
  return fitting.filter((_, i) => (stems[i]!.stemPadding === 1) === converted)
}

function isQuickGelu({ model: { config } }: Fit): boolean {
  return "activation" in config.image && config.image.activation === "quick-gelu"
}

function sameFunction(a: Fit, b: Fit): boolean {
  return JSON.stringify([a.model.config, a.preprocessing]) === JSON.stringify([b.model.config, b.preprocessing])
}
