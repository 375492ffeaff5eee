/**
 * Parameters of one stored view of an image, as the published reinforced datasets keep them (`paug.json`): what was
 * drawn once is re-applied in training. Format and ranges: apple/ml-mobileclip-dr dr/transforms.py @418551d.
 */

/** RandAugment's operations; a stored index counts in this order. */
export const opNames = [
  ...["Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness"],
  ...["Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"],
] as const

/** [top, left, height, width] in pixels of the stored original image. */
export type StoredCrop = readonly [top: number, left: number, height: number, width: number]

/** [index into `opNames`, magnitude]; translations are in pixels of the view, whatever its size. */
export type StoredOp = readonly [op: number, magnitude: number]

/** One entry of `param_aug`; null where RandAugment was skipped. */
export type StoredAugmentation = readonly [crop: StoredCrop, ops: readonly StoredOp[] | null]
