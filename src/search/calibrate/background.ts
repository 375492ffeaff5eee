/** What scores are compared with: vectors that an index keeps of generic captions and of some of its own pictures. */
import { UserError } from "../../core/errors.ts"

/** Unit vectors, row-major, all by the model that the index is of. */
export interface Background {
  readonly dim: number
  /** [P, dim] of `backgroundPrompts` */
  readonly prompts: Float32Array
  /** [M, dim] of `chooseBackgroundPictures`, in its order */
  readonly pictures: Float32Array
}

/** Pictures of a background: more would sharpen the statistics little, and take longer. */
export const mostBackgroundPictures = 1024

/**
 * The contents with the lowest hashes, in the order of these: a sample that depends on the contents alone, in which few
 * change while an index grows. Hashes are texts of one form, such as hexadecimal digests.
 */
export function chooseBackgroundPictures<Content extends { readonly hash: string }>(
  contents: Iterable<Content>,
  most = mostBackgroundPictures,
): Content[] {
  let kept: Content[] = []
  for (const content of contents) {
    kept.push(content)
    if (kept.length >= 2 * most + 64) kept = lowest(kept, most)
  }
  return lowest(kept, most)
}

function lowest<Content extends { readonly hash: string }>(contents: Content[], most: number): Content[] {
  return contents.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0)).slice(0, most)
}

/** Throws UserError where the vectors are not rows of `dim` finite numbers. */
export function requireBackground({ dim, prompts, pictures }: Background): void {
  for (const [what, vectors] of Object.entries({ prompts, pictures })) {
    if (vectors.length % dim !== 0)
      throw new UserError(`background ${what}: ${vectors.length} numbers are not rows of ${dim}`, hint)
    const wrong = vectors.findIndex((value) => !Number.isFinite(value))
    if (wrong >= 0)
      throw new UserError(
        `background ${what}: vector ${Math.floor(wrong / dim) + 1} has a number that is not finite`,
        hint,
      )
  }
}

const hint = "leave out pictures without a vector, or make the background again"
