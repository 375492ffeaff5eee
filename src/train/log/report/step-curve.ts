/** A quantity over the steps of a run. */
import type { Curve } from "../../../report/chart.ts"
import type { StepEntry } from "../entries.ts"

export function stepCurve(steps: readonly StepEntry[], value: (step: StepEntry) => number, name?: string): Curve {
  return { ...(name !== undefined && { name }), points: steps.map((entry) => ({ x: entry.step, y: value(entry) })) }
}
