/**
 * What is wrong with a reinforced sample by itself, beyond what a reader refuses (rows that do not fit views or captions,
 * values that are not numbers): crops outside of the picture, and vectors that are not of unit length.
 */
import { opNames, type StoredAugmentation } from "../../../data/augment/augmentation.ts"
import type { Embeddings, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { PictureSize } from "../../../host/image/picture-size.ts"

interface FaultOptions {
  /** Size of the stored picture, where there is one. */
  readonly picture: PictureSize | null
  /** Values of each teacher in a row, in order; null where nobody knows. */
  readonly teacherWidths: readonly number[] | null
}

/** Lengths are 1 within this: bfloat16 and the compact layout round. */
const lengthTolerance = 5e-3

/** One line for each thing that is wrong; none for a sound sample. */
export function faultsOf(sample: ReinforcedSample, { picture, teacherWidths }: FaultOptions): string[] {
  const { paramAug, embeddings } = sample
  const isEmbedded = [...embeddings.keys()].some((name) => name.startsWith("image_emb"))
  return [
    ...(paramAug && !isEmbedded ? ["it has param_aug, and no image_emb"] : []),
    ...(paramAug ?? []).flatMap((view, i) => augmentationFaults(view, picture).map((what) => `view ${i}: ${what}`)),
    ...[...embeddings].flatMap(([name, vectors]) =>
      vectorFaults(vectors, teacherWidths).map((what) => `${name}: ${what}`),
    ),
  ]
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
    if (!Number.isFinite(magnitude)) faults.push(`the magnitude ${magnitude} is not a number`)
  }
  return faults
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

function squares(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value * value
  return sum
}
