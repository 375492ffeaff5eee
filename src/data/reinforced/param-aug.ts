/** Reads the stored views of a sample (`param_aug`), a list or the JSON text of one, and checks every number. */
import { messageOf, UserError } from "../../core/errors.ts"
import { opNames, type StoredAugmentation, type StoredCrop, type StoredOp } from "../augment/augmentation.ts"

/** Throws UserError naming the first view that is not as the format says. */
export function parseParamAug(value: unknown): StoredAugmentation[] {
  const list = typeof value === "string" ? parseList(value) : value
  if (!Array.isArray(list)) throw new UserError("param_aug is not a list of views")
  return list.map(parseView)
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UserError(`param_aug is a text, but not of JSON (${messageOf(error)})`)
  }
}

/** [crop, operations]; without the second where RandAugment is not part of the recipe. */
function parseView(view: unknown, index: number): StoredAugmentation {
  const [crop, ops = null, ...more] = Array.isArray(view) ? view : []
  const isOps = ops === null || (Array.isArray(ops) && ops.every(isOp))
  if (isCrop(crop) && isOps && more.length === 0) return [crop, ops as StoredOp[] | null]
  throw new UserError(
    `param_aug: view ${index} is not [[top, left, height, width], [[operation 0 to ${opNames.length - 1}, magnitude], ...]]`,
  )
}

function isCrop(value: unknown): value is StoredCrop {
  if (!Array.isArray(value) || value.length !== 4 || !value.every(Number.isSafeInteger)) return false
  const [top, left, height, width] = value as [number, number, number, number]
  return top >= 0 && left >= 0 && height > 0 && width > 0
}

function isOp(value: unknown): value is StoredOp {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [op, magnitude] = value
  return Number.isInteger(op) && op >= 0 && op < opNames.length && Number.isFinite(magnitude)
}
