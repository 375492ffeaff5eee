/**
 * How far the decoder's own scaling takes pixels and vectors away, and which label wins. Vectors of one model have much in common
 * whatever is shown, and those of generated weights nearly all, so that cosines are near 1 by themselves: they are given without
 * the mean over the pictures too, and mean something for trained weights.
 */

import { quantile } from "../../src/core/arrays/quantile.ts"
import { l2Normalize } from "../../src/core/arrays/similarity.ts"
import type { Preprocessing } from "../../src/core/image/preprocess.ts"
import { readBytes } from "../../src/host/files/files.ts"
import { encodeFiles, type PixelEncoder } from "../../src/pictures/encode-files.ts"
import { preparePixels } from "../../src/pictures/prepare-pixels.ts"
import type { LabelVectors } from "../../src/run/labels/label-vectors.ts"
import { rankLabels } from "../../src/run/labels/rank-labels.ts"

/** The files that it changes: those with sides of four times what the tower takes, or more. */
export async function reportDeviation(
  name: string,
  encoder: PixelEncoder,
  files: readonly string[],
  labels: LabelVectors | null,
): Promise<void> {
  const differences = new Map<string, number>()
  for (const file of files) {
    const difference = await pixelDifference(encoder.preprocessing, file)
    if (difference > 0) differences.set(file, difference)
  }
  const changed = [...differences.keys()]
  if (changed.length === 0) return console.log(`${name}: no file is large enough to be changed`)
  const [exact, scaled] = [await vectorsOf(encoder, changed, false), await vectorsOf(encoder, changed, true)]
  const mean = meanOf(exact, encoder.embedDim)
  const pixels = [...differences.values()].map((difference) => 255 * difference)
  console.log(`${name}, ${changed.length} photographs that are changed`)
  console.log(`  pixels: ${inMiddle(pixels, 2)} of 255 in the mean, ${Math.max(...pixels).toFixed(2)} at most`)
  console.log(`  cosine of vectors: ${lowAndMiddle(rowCosines(exact, scaled, encoder.embedDim))}`)
  const own = rowCosines(without(mean, exact), without(mean, scaled), encoder.embedDim)
  console.log(`  without the mean over the pictures: ${lowAndMiddle(own)}`)
  if (labels)
    console.log(`  another label of ${labels.labels.length} is the best one: ${changes(exact, scaled, labels)}`)
}

/** Unit vectors [files, embedDim]. */
async function vectorsOf({ embedDim, ...encoder }: PixelEncoder, files: readonly string[], scaled: boolean) {
  const rows = new Float32Array(files.length * embedDim)
  let next = 0
  for await (const batch of encodeFiles(files, [{ embedDim, ...encoder }], { decode: { scaled } }))
    for (const file of batch) {
      if ("error" in file) throw file.error
      rows.set(file.vectors[0]!, next++ * embedDim)
    }
  return l2Normalize(rows, embedDim)
}

function meanOf(rows: Float32Array, width: number): Float64Array {
  const mean = new Float64Array(width)
  rows.forEach((value, i) => {
    mean[i % width]! += (value * width) / rows.length
  })
  return mean
}

function without(mean: Float64Array, rows: Float32Array): Float32Array {
  return l2Normalize(
    rows.map((value, i) => value - mean[i % mean.length]!),
    mean.length,
  )
}

/** The cosine of each row of `a` with the same row of `b`, both of unit length [rows, width]. */
function rowCosines(a: Float32Array, b: Float32Array, width: number): number[] {
  return Array.from({ length: a.length / width }, (_, row) => {
    let sum = 0
    for (let i = row * width; i < (row + 1) * width; i++) sum += a[i]! * b[i]!
    return sum
  })
}

function changes(exact: Float32Array, scaled: Float32Array, labels: LabelVectors): string {
  const [before, after] = [exact, scaled].map((rows) => rankLabels(rows, labels).map(([best]) => best!.label))
  return `${before!.filter((label, i) => label !== after![i]).length} of ${before!.length}`
}

function lowAndMiddle(cosines: readonly number[]): string {
  const low = Math.min(...cosines)
  return `${inMiddle(cosines, 6)} in the median, ${quantile(cosines, 0.01).toFixed(6)} or less in one of a hundred, ${low.toFixed(6)} at worst`
}

function inMiddle(values: readonly number[], digits: number): string {
  return quantile(values, 0.5).toFixed(digits)
}

async function pixelDifference({ std: _, ...preprocessing }: Preprocessing, name: string): Promise<number> {
  const bytes = await readBytes(name)
  const [exact, scaled] = await Promise.all(
    [false, true].map(async (scaled) => {
      const out = new Float32Array(3 * preprocessing.size ** 2)
      await preparePixels(
        bytes,
        [{ preprocessing: { ...preprocessing, std: [1, 1, 1] }, out }],
        { name, scaled },
        "here",
      )
      return out
    }),
  )
  return exact!.reduce((sum, value, i) => sum + Math.abs(value - scaled![i]!), 0) / exact!.length
}
