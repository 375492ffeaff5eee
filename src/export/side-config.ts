/** What the files beside the towers of a model directory say, in any layout. */

export type ExportDtype = "fp32" | "fp16"

export interface SideConfig {
  readonly embedDim: number
  readonly contextLength: number
  readonly dtype: ExportDtype
  /** Names, without folders, of models whose weights are in a file beside them. */
  readonly withData: readonly string[]
}
