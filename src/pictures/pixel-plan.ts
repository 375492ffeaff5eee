/** Which pixels of a JPEG file models take, and how they become theirs: what the decoder needs to make no others (`jpeg/`). */
import type { PixelPlan, PixelTarget } from "../../jpeg/index.ts"
import { centerBox } from "../core/image/pixels.ts"
import { normalizedBytes, type Preprocessing } from "../core/image/preprocess.ts"
import { type Size, shortestSide } from "../core/image/resize.ts"
import { type Taps, tapsOf } from "../core/image/taps.ts"

/** What one model takes, and where it goes: [3, size, size]. */
export interface Wanted {
  readonly preprocessing: Preprocessing
  readonly out: Float32Array
}

export function planOf(file: Size, wanted: readonly Wanted[], denominator: PixelPlan["denominator"] = 1): PixelPlan {
  const width = Math.ceil(file.width / denominator)
  const height = Math.ceil(file.height / denominator)
  const targets = wanted.map((each) => targetOf({ width, height }, file, denominator, each))
  const [columns, rows] = [targets.map((each) => each.columns), targets.map((each) => each.rows)]
  return {
    ...{ width, height, denominator, targets },
    ...{ left: firstOf(columns), right: lastOf(columns), top: firstOf(rows), bottom: lastOf(rows) },
  }
}

/**
 * By how much the decoder can make a picture smaller and leave twice the pixels that models take: what is left is then
 * made smaller as any picture is.
 */
export function denominatorFor({ width, height }: Size, wanted: readonly Wanted[]): PixelPlan["denominator"] {
  const largest = Math.max(...wanted.map(({ preprocessing }) => preprocessing.size))
  const fits = (denominator: number) => Math.min(width, height) / denominator >= 2 * largest
  return ([8, 4, 2] as const).find(fits) ?? 1
}

type TapsOfTarget = PixelTarget["columns"] & Pick<Taps, "end">

/** The decoder rounds sizes up, so its last pixels may be cut by the picture's edge: what is made has the place of the exact one. */
function targetOf(from: Size, file: Size, denominator: number, { preprocessing, out }: Wanted) {
  const { size, interpolation } = preprocessing
  const to = shortestSide(file, size)
  const { left, top } = centerBox(to.width, to.height, size)
  const [width, height] = [file.width / denominator, file.height / denominator]
  const columns = keptTaps(from.width, to.width, left, size, interpolation, width)
  const rows = keptTaps(from.height, to.height, top, size, interpolation, height)
  return { columns, rows, values: normalizedBytes(preprocessing), out }
}

const taps = new Map<string, TapsOfTarget>()
/** Those of photographs have 8 to 30 kB each, of the largest pictures half a megabyte. */
const mostTaps = 32

/** Pictures of a folder have few sizes, and nobody changes what a plan holds. */
function keptTaps(...given: Parameters<typeof tapsOf>): TapsOfTarget {
  const key = given.join()
  const found = taps.get(key) ?? tapsOf(...given)
  if (taps.size >= mostTaps && !taps.has(key)) taps.clear()
  taps.set(key, found)
  return found
}

function firstOf(taps: readonly TapsOfTarget[]): number {
  return Math.min(...taps.map(({ starts }) => starts[0]!))
}

function lastOf(taps: readonly TapsOfTarget[]): number {
  return Math.max(...taps.map(({ end }) => end))
}
