/**
 * Stored views, read and checked: `param_aug` as the published datasets keep it, and the longer form with names that the
 * reference unpacks it to.
 */
import { quoted, UserError } from "../../core/errors.ts"
import type { Size } from "../../core/image/resize.ts"
import { plainNumbers } from "../../core/json.ts"
import { nearestNames } from "../../core/nearest.ts"
import { parseJsonText } from "../json-text.ts"
import { opNames, type StoredAugmentation, type StoredCrop, type StoredOp } from "./augmentation.ts"

/** The first element of each list holds a transform's parameters; a transform that was skipped has no field. */
interface DecompressedAugmentation {
  readonly random_resized_crop: readonly [StoredCrop]
  readonly rand_augment?: readonly [readonly (readonly [name: string, magnitude: number])[]]
  readonly to_tensor: readonly unknown[]
  readonly normalize: readonly unknown[]
}

export function decompress([crop, ops]: StoredAugmentation): DecompressedAugmentation {
  const named = ops?.map(([op, magnitude]) => [opNames[op]!, magnitude] as const)
  return {
    random_resized_crop: [crop],
    ...(named && { rand_augment: [named] as const }),
    to_tensor: [[], []],
    normalize: [[], []],
  }
}

/** Throws UserError at a name that is not an operation. */
export function compress(augmentation: DecompressedAugmentation): StoredAugmentation {
  const ops = augmentation.rand_augment?.[0].map(([name, magnitude]) => [opIndex(name), magnitude] as const)
  return [augmentation.random_resized_crop[0], ops ?? null]
}

function opIndex(name: string): number {
  const index = (opNames as readonly string[]).indexOf(name)
  if (index >= 0) return index
  throw new UserError(
    `${quoted(name)} is not an operation of RandAugment`,
    `did you mean ${nearestNames(name, opNames, 1)}?`,
  )
}

/**
 * The views of a sample from its `param_aug`, a list or the same as JSON. Throws UserError where one is not a stored view.
 *
 * @param where for messages: the sample, or the file
 */
export function parseParamAug(value: unknown, where: string): StoredAugmentation[] {
  const list = typeof value === "string" ? parseJson(value, where) : plainNumbers(value)
  if (!Array.isArray(list)) throw malformed(`${where}: param_aug is a list of views`, list)
  return list.map((entry, i) => parseAugmentation(entry, `${where}: param_aug[${i}]`))
}

function parseJson(text: string, where: string): unknown {
  try {
    return parseJsonText(text)
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: param_aug: ${error.message}`)
    throw new UserError(`${where}: param_aug is a text that is not JSON: ${quoted(text)}`, undefined, { cause: error })
  }
}

function parseAugmentation(entry: unknown, where: string): StoredAugmentation {
  if (!Array.isArray(entry) || entry.length < 1 || entry.length > 2) {
    throw malformed(`${where} is [[top, left, height, width], operations]`, entry)
  }
  // Where RandAugment was not configured, the crop stands alone.
  const [crop, ops = null] = entry
  return [parseCrop(crop, where), ops === null ? null : parseOps(ops, where)]
}

function parseCrop(crop: unknown, where: string): StoredCrop {
  const [top, left, height, width, ...rest]: unknown[] = Array.isArray(crop) ? crop : []
  const inRange = (value: unknown, least: number): value is number => Number.isInteger(value) && Number(value) >= least
  if (inRange(top, 0) && inRange(left, 0) && inRange(height, 1) && inRange(width, 1) && rest.length === 0) {
    return [top, left, height, width]
  }
  throw malformed(`${where}: a crop is [top, left, height, width] in whole pixels`, crop)
}

function parseOps(ops: unknown, where: string): StoredOp[] {
  if (!Array.isArray(ops)) throw malformed(`${where}: operations are a list of [index, magnitude], or null`, ops)
  return ops.map((entry) => parseOp(entry, where))
}

function parseOp(entry: unknown, where: string): StoredOp {
  const [op, magnitude, ...rest]: unknown[] = Array.isArray(entry) ? entry : []
  if (typeof op !== "number" || typeof magnitude !== "number" || rest.length > 0 || !Number.isFinite(magnitude)) {
    throw malformed(`${where}: an operation is [index, magnitude]`, entry)
  }
  const name = opNames[op]
  if (name === undefined) throw malformed(`${where}: an operation's index is 0 to ${opNames.length - 1}`, op)
  if (name === "Posterize" && !(magnitude >= 0 && magnitude < 9)) {
    throw malformed(`${where}: Posterize keeps 0 to 8 bits`, magnitude)
  }
  return [op, magnitude]
}

function malformed(expected: string, found: unknown): UserError {
  return new UserError(`${expected}, not ${quoted(JSON.stringify(found) ?? String(found))}`)
}

/** Throws UserError where a view reaches beyond the picture: it was drawn for another copy of the picture. */
export function checkInside(crop: StoredCrop, { width, height }: Size, where: string): void {
  const [top, left, cropHeight, cropWidth] = crop
  if (top + cropHeight <= height && left + cropWidth <= width) return
  throw new UserError(
    `${where}: the stored crop [${crop}] (top, left, height, width) does not lie in ${width} x ${height} pixels`,
    "views belong to the picture they were drawn for, at its original size",
  )
}
