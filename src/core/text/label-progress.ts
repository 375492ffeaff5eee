/** Progress of labels that are encoded, for people. */
import type { Progress, StartProgress } from "../progress.ts"
import type { LabelOptions } from "./prompts.ts"

/** Prompts: fewer are encoded in a moment. */
const shownPrompts = 1000

export interface LabelsShown {
  readonly startProgress: StartProgress
  /** Is told, in a line, how many vectors were kept. */
  readonly say?: ((line: string) => void) | undefined
}

interface LabelListeners {
  readonly onPrompts: NonNullable<LabelOptions["onPrompts"]>
  readonly onKept: NonNullable<LabelOptions["onKept"]>
}

/** @param label what the progress is called */
export function labelProgress(label: string, { startProgress, say }: LabelsShown): LabelListeners {
  let progress: Progress | null = null
  return {
    onPrompts: (done, total) => {
      if (total < shownPrompts) return
      progress ??= startProgress(label, total, { unit: "texts" })
      progress.update(done)
      if (done === total) progress.done()
    },
    onKept: (kept, labels, prompts) => {
      if (kept > 0 && prompts >= shownPrompts) say?.(keptText(kept, labels))
    },
  }
}

/** "988 of 1,000 labels' vectors were kept from before" */
function keptText(kept: number, labels: number): string {
  const [some, all] = [kept, labels].map((count) => count.toLocaleString("en"))
  return `${some} of ${all} labels' vectors were kept from before`
}
