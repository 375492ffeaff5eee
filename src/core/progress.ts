/** Progress of long work, for a caller that shows it. */

export interface Progress {
  /** `done` of the total so far; `detail` is shown after it, for example "loss 2.31". */
  update(done: number, detail?: string): void
  done(detail?: string): void
}

/** Begins a piece of work of `total` units (0: unknown), named in the plural: "pictures"; `from` of them were done before. */
export type StartProgress = (
  label: string,
  total: number,
  options: { readonly unit: string; readonly from?: number },
) => Progress

/** Shows nothing. */
export const noProgress: StartProgress = () => ({ update() {}, done() {} })
