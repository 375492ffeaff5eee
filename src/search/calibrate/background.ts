/** What scores are compared with: vectors that an index keeps of generic captions and of some of its own pictures. */
import { UserError } from "../../core/errors.ts"

/** Unit vectors, row-major, all by the model that the index is of. */
export interface Background {
  readonly dim: number
  /** [P, dim] of `backgroundPrompts` */
  readonly prompts: Float32Array
  /** [M, dim] of the contents with the lowest hashes: a sample in which few change while an index grows */
  readonly pictures: Float32Array
}

/** Pictures of a background: more would sharpen the statistics little, and take longer. */
export const mostBackgroundPictures = 1024

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
