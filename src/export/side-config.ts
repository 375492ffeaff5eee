/** What the files beside the towers of a model directory say, in any layout. */

import type { DirectoryDtype } from "../core/precision.ts"

export interface SideConfig {
  readonly embedDim: number
  readonly contextLength: number
  readonly dtype: DirectoryDtype
  /** Names, without folders, of models whose weights are in a file beside them. */
  readonly withData: readonly string[]
}
