/** Sharpness of pictures that may be the best of a group, measured from their files when duplicates are looked for. */
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { readBytes } from "../../host/files/files.ts"
import { defaultMaxPixels } from "../../host/image/images.ts"
import { sharpness } from "../../host/image/sharpness.ts"
import { usableProcessors } from "../../host/processors.ts"
import { preparePixels } from "../../pictures/prepare-pixels.ts"
import type { Pairs } from "../scan/scanner.ts"
import type { FoundContent } from "./rows/look-up.ts"

/** The same for every index, so that no model is needed to look for duplicates: the size of most towers' input. */
const view: Preprocessing = { size: 256, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] }

interface Measuring {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * The contents, with a sharpness where it decides: between near pictures of as many pixels. It stays null where no file of a
 * picture can be read.
 */
export async function withSharpness(
  contents: ReadonlyMap<number, FoundContent>,
  near: Pairs,
  { signal, onProgress }: Measuring,
): Promise<Map<number, FoundContent>> {
  const all = new Map(contents)
  const rows = [...tiedRows(contents, near)]
  let done = 0
  const measure = async (row: number) => ({ row, value: await sharpnessOf(contents.get(row)!.paths) })
  for await (const { row, value } of mapOrdered(rows, usableProcessors().count, measure)) {
    signal?.throwIfAborted()
    all.set(row, { ...contents.get(row)!, sharpness: value })
    onProgress?.(++done, rows.length)
  }
  return all
}

function tiedRows(contents: ReadonlyMap<number, FoundContent>, { a, b }: Pairs): Set<number> {
  const rows = new Set<number>()
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [contents.get(a[i]!), contents.get(b[i]!)]
    if (!x || !y || x.width * x.height !== y.width * y.height) continue
    for (const { position, sharpness: known } of [x, y]) if (known === null) rows.add(position)
  }
  return rows
}

async function sharpnessOf(paths: readonly string[]): Promise<number | null> {
  for (const name of paths) {
    const out = new Float32Array(3 * view.size ** 2)
    try {
      const reading = { name, exif: "apply", maxPixels: defaultMaxPixels } as const
      await preparePixels(await readBytes(name), [{ preprocessing: view, out }], reading, "beside")
      return sharpness(out, view)
    } catch (error) {
      // A file that is gone or damaged since it was indexed is one of a group all the same.
      if (!(error instanceof UserError)) throw error
    }
  }
  return null
}
