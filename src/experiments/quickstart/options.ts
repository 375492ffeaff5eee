/** What a run of the quickstart is given. */

import type { StartProgress } from "../../core/progress.ts"
import type { QuickstartRecipe } from "./recipe.ts"

export interface QuickstartOptions {
  /** Everything is written below this directory. */
  readonly out: string
  readonly recipe: QuickstartRecipe
  /** Of the pictures and of the first student. */
  readonly seed: number
  /** Students of each kind. */
  readonly seeds: number
  readonly threads: number
  readonly startProgress: StartProgress
  /** Gets one line about what happens now. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}
