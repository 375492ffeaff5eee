export { blendGray, countValues, lookUp, lookUpFloats, moveFixed, moveFloat, sharpen, sumGray } from "./operations"
export { resizeColumns, resizeRows } from "./resample"

/** Where memory begins that this module does not use itself. */
export function firstFreeByte(): usize {
  return __heap_base
}
