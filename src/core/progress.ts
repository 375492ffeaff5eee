/** Progress of long work, for a caller that shows it. */

export interface Progress {
  /** `done` of the total so far; `detail` is shown after it, for example "loss 2.31". */
  update(done: number, detail?: string): void
  done(detail?: string): void
}

/**
 * Begins a piece of work of `total` units (0: unknown), named in the plural: "pictures"; `from` of them were done before. The
 * work has taken `seconds` when it is first shown.
 */
export type StartProgress = (
  label: string,
  total: number,
  options: { readonly unit: string; readonly from?: number; readonly seconds?: number },
) => Progress

/** Shows nothing. */
export const noProgress: StartProgress = () => ({ update() {}, done() {} })

/** The same for work that is short as a rule: nothing is shown of what ends within some seconds. */
export function ofLongWork(
  start: StartProgress,
  seconds = 3,
  now: () => number = () => performance.now() / 1000,
): StartProgress {
  return (label, total, options) => {
    const began = now()
    let shown: Progress | null = null
    return {
      update(done, detail) {
        const passed = now() - began
        if (passed >= seconds) shown ??= start(label, total, { ...options, seconds: passed })
        shown?.update(done, detail)
      },
      done: (detail) => shown?.done(detail),
    }
  }
}
