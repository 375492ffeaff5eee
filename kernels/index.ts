export { dotHalf } from "./half"
export {
  blendGray,
  countValues,
  lookUp,
  lookUpFloats,
  moveFixed,
  moveFloat,
  sharpen,
  shift,
  sumGray,
} from "./operations"
export { addRanks, multiplyPairs, multiplyPanels, packPanels } from "./products"
export { resizeColumns, resizeRows } from "./resample"

/** Where memory begins that this module does not use itself. */
export function firstFreeByte(): usize {
  return __heap_base
}
