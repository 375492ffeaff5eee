/**
 * How views are drawn, in the JSON of the published recipes (`image_augmentation` of datacompdr12m.json): parameters are
 * named as torchvision names them. The order is fixed: crop, RandAugment, tensor, normalise.
 */
import { messageOf, quoted, UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Interpolation } from "../../core/image/resize.ts"
import { isObject } from "../../core/json.ts"
import { nearestNames } from "../../core/nearest.ts"

export interface AugmentationConfig {
  readonly randomResizedCrop: RandomResizedCrop
  /** Null where views are only cropped. */
  readonly randAugment: RandAugment | null
  readonly normalize: Pick<Preprocessing, "mean" | "std">
}

export interface RandomResizedCrop {
  /** Side of the view, in pixels; translations are drawn for this size. */
  readonly size: number
  readonly interpolation: Interpolation
  /** Share of the picture's area. */
  readonly scale: readonly [number, number]
  /** Width over height of what is cut out. */
  readonly ratio: readonly [number, number]
}

export interface RandAugment {
  /** Probability that RandAugment happens at all. */
  readonly p: number
  readonly numOps: number
  /** Which of `numMagnitudeBins`. */
  readonly magnitude: number
  readonly numMagnitudeBins: number
}

/** The augmentation of DataCompDR and DFNDR. */
export const datacompdrAugmentation: AugmentationConfig = {
  randomResizedCrop: { size: 224, interpolation: "bicubic", scale: [0.08, 1], ratio: [3 / 4, 4 / 3] },
  randAugment: { p: 1, numOps: 2, magnitude: 9, numMagnitudeBins: 31 },
  normalize: { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] },
}

/** Transforms of the reference that are not supported here; they may be listed as switched off. */
const unsupported = [
  ...["uint8", "resize", "center_crop", "random_crop", "random_horizontal_flip", "random_erase", "mixup", "cutmix"],
] as const

/** The parameters that each transform may have. `to_rgb` and `to_tensor` always happen, whatever is given. */
const transforms = {
  to_rgb: ["enable"],
  to_tensor: ["enable"],
  random_resized_crop: ["enable", "size", "interpolation", "scale", "ratio"],
  rand_augment: ["enable", "p", "num_ops", "magnitude", "num_magnitude_bins"],
  normalize: ["enable", "mean", "std"],
} as const satisfies Record<string, readonly string[]>

type Fields = Readonly<Record<string, unknown>>

/**
 * A parameter that is left out is as in `datacompdrAugmentation`, but a transform that is not listed does not happen. Throws
 * UserError, naming `where` and the field.
 *
 * @param where for messages: "--aug-config", a path
 */
export function parseAugmentationConfig(json: string, where: string): AugmentationConfig {
  const config = toFields(parseJson(json, where), where)
  checkTransforms(config, where)
  const crop = fieldsOf(config, "random_resized_crop", where)
  if (!crop) throw new UserError(`${where} has no random_resized_crop`, "every stored view has a crop: add it")
  return {
    randomResizedCrop: parseCrop(crop, `${where}: random_resized_crop`),
    randAugment: parseRandAugment(fieldsOf(config, "rand_augment", where), `${where}: rand_augment`),
    normalize: parseNormalize(fieldsOf(config, "normalize", where), `${where}: normalize`),
  }
}

function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new UserError(`${where} is not JSON (${messageOf(error)})`, undefined, { cause: error })
  }
}

function toFields(value: unknown, where: string): Fields {
  if (isObject(value)) return { ...value }
  throw new UserError(`${where}: an object was expected, not ${quoted(JSON.stringify(value) ?? "nothing")}`)
}

function checkTransforms(config: Fields, where: string): void {
  for (const name of Object.keys(config)) {
    if (Object.hasOwn(transforms, name)) {
      checkNames(toFields(config[name], `${where}: ${name}`), transforms[name as keyof typeof transforms], where, name)
      continue
    }
    if (!unsupported.some((known) => known === name)) throw unknownName(`${where}: "${name}" is not a transform`, name)
    if (toFields(config[name], `${where}: ${name}`).enable === false) continue
    throw new UserError(
      `${where}: ${name} is not supported; stored views are cropped and go through RandAugment`,
      `leave it out, or set "enable": false`,
    )
  }
}

function unknownName(message: string, name: string): UserError {
  return new UserError(message, `did you mean ${nearestNames(name, Object.keys(transforms), 1)[0]}?`)
}

function checkNames(fields: Fields, known: readonly string[], where: string, transform: string): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new UserError(
    `${where}: ${transform} has no parameter ${quoted(unknown)}`,
    `did you mean ${nearestNames(unknown, known, 1)[0]}? It takes ${known.join(", ")}`,
  )
}

/** The parameters of a transform that is listed and not switched off. */
function fieldsOf(config: Fields, name: string, where: string): Fields | null {
  if (config[name] === undefined) return null
  const fields = toFields(config[name], `${where}: ${name}`)
  if (fields.enable === undefined || fields.enable === true) return fields
  if (fields.enable === false) return null
  throw new UserError(`${where}: ${name}.enable is true or false, not ${quoted(JSON.stringify(fields.enable))}`)
}

function parseCrop(fields: Fields, where: string): RandomResizedCrop {
  const defaults = datacompdrAugmentation.randomResizedCrop
  const { interpolation = defaults.interpolation } = fields
  if (interpolation !== "bicubic" && interpolation !== "bilinear") {
    throw new UserError(`${where}.interpolation is bicubic or bilinear, not ${quoted(JSON.stringify(interpolation))}`)
  }
  return {
    size: numberOf(fields, "size", defaults.size, where, { least: 1, most: 16_384, isInteger: true }),
    interpolation,
    scale: rangeOf(fields, "scale", defaults.scale, where, 1),
    ratio: rangeOf(fields, "ratio", defaults.ratio, where, 1000),
  }
}

function parseRandAugment(fields: Fields | null, where: string): RandAugment | null {
  if (!fields) return null
  const defaults = { p: 1, numOps: 2, magnitude: 9, numMagnitudeBins: 31 }
  const bins = numberOf(fields, "num_magnitude_bins", defaults.numMagnitudeBins, where, {
    ...{ least: 2, most: 1000, isInteger: true },
  })
  return {
    p: numberOf(fields, "p", defaults.p, where, { least: 0, most: 1 }),
    numOps: numberOf(fields, "num_ops", defaults.numOps, where, { least: 0, most: 16, isInteger: true }),
    magnitude: numberOf(fields, "magnitude", defaults.magnitude, where, { least: 0, most: bins - 1, isInteger: true }),
    numMagnitudeBins: bins,
  }
}

/** Without normalisation, values stay in 0..1. */
function parseNormalize(fields: Fields | null, where: string): AugmentationConfig["normalize"] {
  if (!fields) return { mean: [0, 0, 0], std: [1, 1, 1] }
  const defaults = datacompdrAugmentation.normalize
  const std = tripleOf(fields, "std", defaults.std, where)
  if (std.some((value) => value <= 0)) throw new UserError(`${where}.std must be above 0, not ${JSON.stringify(std)}`)
  return { mean: tripleOf(fields, "mean", defaults.mean, where), std }
}

interface Limits {
  readonly least: number
  readonly most: number
  readonly isInteger?: boolean
}

function numberOf(fields: Fields, name: string, otherwise: number, where: string, limits: Limits): number {
  const { [name]: value = otherwise } = fields
  const { least, most, isInteger = false } = limits
  if (typeof value === "number" && value >= least && value <= most && (!isInteger || Number.isInteger(value)))
    return value
  const kind = isInteger ? "a whole number" : "a number"
  throw new UserError(`${where}.${name} is ${kind} from ${least} to ${most}, not ${quoted(JSON.stringify(value))}`)
}

function rangeOf(fields: Fields, name: string, otherwise: readonly [number, number], where: string, most: number) {
  const [low, high, ...rest] = numbersOf(fields, name, otherwise, where)
  if (low !== undefined && high !== undefined && rest.length === 0 && low > 0 && low <= high && high <= most) {
    return [low, high] as const
  }
  throw new UserError(
    `${where}.${name} is [lowest, highest], above 0 and up to ${most}, not ${quoted(JSON.stringify(fields[name]))}`,
  )
}

function tripleOf(fields: Fields, name: string, otherwise: Preprocessing["mean"], where: string) {
  const [red, green, blue, ...rest] = numbersOf(fields, name, otherwise, where)
  if (red !== undefined && green !== undefined && blue !== undefined && rest.length === 0) {
    return [red, green, blue] as const
  }
  throw new UserError(
    `${where}.${name} is three numbers, of red, green and blue, not ${quoted(JSON.stringify(fields[name]))}`,
  )
}

/** Empty where the value is not a list of numbers. */
function numbersOf(fields: Fields, name: string, otherwise: readonly number[], where: string): readonly number[] {
  const { [name]: value = otherwise } = fields
  if (!Array.isArray(value)) throw new UserError(`${where}.${name} is a list of numbers, not ${quoted(String(value))}`)
  return value.every(Number.isFinite) ? value : []
}
