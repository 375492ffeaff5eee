/** How long a run is: steps, whatever the recipe counts in. */
import { UserError } from "../../core/errors.ts"
import type { Recipe } from "./schema.ts"

/** Where a recipe does not say; open_clip's. */
const DEFAULT_EPOCHS = 32

/** Of a run that says nothing of a warm-up. */
const WARMUP = { steps: 100, share: 0.1 } as const

export interface RunLength {
  readonly steps: number
  /** Of these, to the full rate. */
  readonly warmupSteps: number
  /** Pairs seen, repeats counted. */
  readonly samples: number
  /** Passes over the data; null where its size is not known. */
  readonly epochs: number | null
}

/**
 * @param available pairs in the data; null: not known
 * Throws UserError where epochs are counted but not the data, or where the data does not fill a batch.
 */
export function runLength(recipe: Recipe, available: number | null): RunLength {
  const { size } = recipe.batch
  const pairs = recipe.data.samples ?? available
  const steps = stepsOf(recipe, pairs)
  checkFits(recipe, steps)
  const warmupSteps = warmupOf(recipe, steps)
  return { steps, warmupSteps, samples: steps * size, epochs: pairs === null ? null : (steps * size) / pairs }
}

/** The recipe's warm-up, or what a run of so many steps bears. */
export function warmupOf({ schedule }: Recipe, steps: number): number {
  return schedule.warmup ?? Math.min(WARMUP.steps, Math.floor(WARMUP.share * steps))
}

function stepsOf({ schedule, batch }: Recipe, pairs: number | null): number {
  if (schedule.steps !== null) return schedule.steps
  if (schedule.samples !== null) return Math.ceil(schedule.samples / batch.size)
  const epochs = schedule.epochs ?? DEFAULT_EPOCHS
  if (pairs === null) {
    throw new UserError(
      `${epochs} epochs of data whose size is not known`,
      "say data.samples (--train-num-samples), schedule.steps or schedule.samples",
    )
  }
  const perEpoch = Math.floor(pairs / batch.size)
  if (perEpoch === 0) {
    throw new UserError(`${pairs} pairs do not fill a batch of ${batch.size}`, "name more data or a smaller batch.size")
  }
  return Math.max(1, Math.round(epochs * perEpoch))
}

function checkFits({ schedule }: Recipe, steps: number): void {
  for (const [key, name] of [
    ["warmup", "a warm-up"],
    ["constantSteps", "a constant part"],
  ] as const) {
    if ((schedule[key] ?? 0) <= steps) continue
    const hint = `set schedule.${key} lower, or train longer`
    throw new UserError(`${name} of ${schedule[key]} steps does not fit in a run of ${steps}`, hint)
  }
}
