/** How long a run is, in steps, whichever unit the recipe counts in. */
import { UserError } from "../../core/errors.ts"
import type { Recipe } from "./schema.ts"

/** The default of open_clip, for recipes that give no length. */
const DEFAULT_EPOCHS = 32

/** The warm-up of a recipe that gives none. */
const WARMUP = { steps: 100, share: 0.1 } as const

export interface RunLength {
  readonly steps: number
  /** Those of them in which the learning rate rises to its full value. */
  readonly warmupSteps: number
  /** Pairs seen, repeats counted. */
  readonly samples: number
  /** Passes over the data; null where its size is not known. */
  readonly epochs: number | null
}

/**
 * @param available pairs in the data; null: not known
 * @throws UserError where epochs are counted and the size of the data is not known, or where the data does not fill a batch
 */
export function runLength(recipe: Recipe, available: number | null): RunLength {
  const { size } = recipe.batch
  const pairs = recipe.data.samples ?? available
  const steps = stepsOf(recipe, pairs)
  checkFits(recipe, steps)
  const warmupSteps = warmupOf(recipe, steps)
  return { steps, warmupSteps, samples: steps * size, epochs: pairs === null ? null : (steps * size) / pairs }
}

/** The recipe's warm-up, or the default for a run of this many steps. */
export function warmupOf({ schedule }: Recipe, steps: number): number {
  return schedule.warmup ?? Math.min(WARMUP.steps, Math.floor(WARMUP.share * steps))
}

function stepsOf({ schedule, batch, data }: Recipe, pairs: number | null): number {
  if (schedule.steps !== null) return schedule.steps
  if (schedule.samples !== null) return Math.ceil(schedule.samples / batch.size)
  const epochs = schedule.epochs ?? DEFAULT_EPOCHS
  if (pairs === null) {
    throw new UserError(
      `${epochs} epochs of data whose size is not known`,
      `${data.train === null ? "name the data (--train-data), or " : ""}say data.samples (--train-num-samples), schedule.steps or schedule.samples`,
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
