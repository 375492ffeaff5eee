/** Learning rate as a pure function of the step. */
export interface ScheduleConfig {
  readonly learningRate: number
  readonly warmupSteps: number
  /** Steps before the cosine begins, the warm-up among them; MobileCLIP-B (LT) has 300k of them. */
  readonly constantSteps?: number
  /** Where the cosine ends, behind the last step; 0 by default. */
  readonly minLearningRate?: number
  readonly steps: number
}

/** Linear warm-up from learningRate / warmupSteps, then cosine. Source: open_clip scheduler.py `cosine_lr`. */
export function learningRateAt(step: number, config: ScheduleConfig): number {
  const { learningRate, warmupSteps, constantSteps = 0, minLearningRate = 0, steps } = config
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps
  const start = Math.max(warmupSteps, constantSteps)
  if (step < start) return learningRate
  const progress = (step - start) / (steps - start)
  return minLearningRate + 0.5 * (learningRate - minLearningRate) * (1 + Math.cos(Math.PI * progress))
}
