/** Parsers and progress that the tools share. */
import { InvalidArgumentError } from "commander"
import type { Progress } from "../../../core/progress.ts"
import { type ProgressMode, progressReporter } from "../../progress.ts"

/** `768,768` -> [768, 768] */
export function widths(text: string): number[] {
  const values = text.split(",").map(Number)
  if (values.every((value) => Number.isInteger(value) && value > 0)) return values
  throw new InvalidArgumentError("expected the teachers' widths, such as 768,768")
}

/** `a,b` -> ["a", "b"] */
export function list(text: string): string[] {
  return text.split(",").filter(Boolean)
}

export interface ShardProgress extends Progress {
  /** For `onShard` of the tools. */
  show(shards: number, samples: number): void
}

export function shardProgress(mode: ProgressMode, label: string, shards: number): ShardProgress {
  const progress = progressReporter(mode)(label, shards, { unit: "shards" })
  return {
    update: (done, detail) => progress.update(done, detail),
    done: (detail) => progress.done(detail),
    show: (done, samples) => progress.update(done, `${samples} samples`),
  }
}
