/** What is wrong with a reinforced sample by itself: its parts do not fit each other, or values that cannot be. */
import { opNames, type StoredAugmentation } from "../../../data/augment/augmentation.ts"
import type { Embeddings, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { PictureSize } from "../../../host/picture-size.ts"

export interface FaultOptions {
  /** Of the stored picture, where there is one. */
  readonly picture: PictureSize | null
  /** Of the teachers, in order; null where nobody knows. */
  readonly teacherWidths: readonly number[] | null
}

/** Lengths are 1 within this: bfloat16 and the compact layout round. */
export const lengthTolerance = 5e-3

/** One line for each thing that is wrong; none for a sound sample. */
export function faultsOf(sample: ReinforcedSample, { picture, teacherWidths }: FaultOptions): string[] {
  const embeddings = [...sample.embeddings]
  return [
    ...viewFaults(sample),
    ...(sample.paramAug ?? []).flatMap((view, i) => augmentationFaults(view, picture).map((what) => `view ${i}: ${what}`)),
    ...embeddings.flatMap(([name, { rows }]) => rowFaults(sample, name, rows)),
    ...embeddings.flatMap(([name, vectors]) => vectorFaults(vectors, teacherWidths).map((what) => `${name}: ${what}`)),
  ]
}

function viewFaults({ paramAug, embeddings }: ReinforcedSample): string[] {
  const images = [...embeddings].filter(([name]) => isOfViews(name))
  if (!paramAug) return images.map(([name]) => `it has ${name}, and no param_aug that says of which views`)
  if (images.length === 0) return ["it has param_aug, and no image_emb"]
  return images
    .filter(([, { rows }]) => rows !== paramAug.length)
    .map(([name, { rows }]) => `param_aug has ${paramAug.length} views, and ${name} ${rows} rows`)
}

function augmentationFaults([[top, left, height, width], ops]: StoredAugmentation, picture: PictureSize | null) {
  const faults: string[] = []
  const isWhole = [top, left, height, width].every(Number.isInteger)
  if (!isWhole || top < 0 || left < 0 || height < 1 || width < 1) {
    faults.push(`the crop [${top}, ${left}, ${height}, ${width}] is none`)
  } else if (picture && (top + height > picture.height || left + width > picture.width)) {
    faults.push(
      `the crop [${top}, ${left}, ${height}, ${width}] is not inside the picture of ${picture.width} x ${picture.height}`,
    )
  }
  for (const [op, magnitude] of ops ?? []) {
    if (opNames[op] === undefined) faults.push(`there is no operation ${op}`)
    if (!Number.isFinite(magnitude)) faults.push(`the magnitude ${magnitude} is no number`)
  }
  return faults
}

function rowFaults(sample: ReinforcedSample, name: string, rows: number): string[] {
  if (isOfViews(name)) return []
  const wanted = captionCounts(sample, name)
  if (wanted.length === 0) return [`${name} is not of any captions: ${[...sample.synTexts.keys()].join(", ") || "none"}`]
  return wanted.includes(rows) ? [] : [`${name} has ${rows} rows for ${wanted.join(" or ")} captions`]
}

/** The numbers of rows that an embedding of captions may have. */
function captionCounts({ texts, synTexts }: ReinforcedSample, name: string): number[] {
  if (/^texts?_emb/.test(name)) {
    const synthetic = [...synTexts.values()].reduce((sum, captions) => sum + captions.length, 0)
    // The released shards hold no caption, and one vector of it.
    const own = texts.length || 1
    return synthetic > 0 ? [own, own + synthetic] : [own]
  }
  const keys = [...synTexts.keys()].filter((key) => name.startsWith(`${key}_emb`))
  return keys.map((key) => synTexts.get(key)!.length)
}

function vectorFaults(vectors: Embeddings, teacherWidths: readonly number[] | null): string[] {
  const { rows, width, values } = vectors
  const total = teacherWidths?.reduce((sum, part) => sum + part, 0)
  if (total !== undefined && total !== width) return [`its rows are ${width} wide, and the teachers together ${total}`]
  for (let row = 0; row < rows; row++) {
    const fault = rowFault(values.subarray(row * width, (row + 1) * width), teacherWidths)
    if (fault) return [`row ${row} ${fault}`]
  }
  return []
}

/** Without widths, the square of the length is the number of teachers, a whole one. */
function rowFault(row: Float32Array, teacherWidths: readonly number[] | null): string | null {
  if (!row.every(Number.isFinite)) return "holds values that are no numbers"
  if (!teacherWidths) {
    const teachers = squares(row)
    const isWhole = Math.abs(teachers - Math.round(teachers)) <= 2 * lengthTolerance * teachers && teachers > 0.5
    return isWhole ? null : `has the length ${Math.sqrt(teachers).toFixed(4)}: its parts are not of unit length`
  }
  let from = 0
  for (const [teacher, width] of teacherWidths.entries()) {
    const length = Math.sqrt(squares(row.subarray(from, from + width)))
    if (Math.abs(length - 1) > lengthTolerance) {
      return `has the length ${length.toFixed(4)} in the part of teacher ${teacher}, and 1 was expected`
    }
    from += width
  }
  return null
}

export function isOfViews(name: string): boolean {
  return name.startsWith("image_emb")
}

function squares(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return sum
}
