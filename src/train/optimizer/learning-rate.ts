/**
 * The learning rate as a pure function of the step, and its factor in each layer: in each tower the last layer learns at the full
 * rate and every layer below at `decay` times that of the one above. Sources: open_clip scheduler.py; BEiT, arXiv 2106.08254,
 * appendix, as open_clip's and timm's fine-tuning do it.
 */
export interface ScheduleConfig {
  readonly learningRate: number
  readonly warmupSteps: number
  /** Steps before the cosine begins, including the warm-up; MobileCLIP-B (LT) has 300k of them. */
  readonly constantSteps?: number
  /** Where the cosine ends, after the last step; 0 by default. */
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

const layerPattern = /^(?:image|text)\.(?:stages\.\d+\.(?:blocks\.\d+|downsample|posEmb)|blocks\.\d+)/
const topPattern = /^(?:image|text)\.(?:finalConv|head|norm|finalNorm|projection|pooler)\b|^logit|^decoder\./

/** The factor for each parameter of a model, by its path in our module tree. */
export function layerDecay(paths: Iterable<string>, decay: number): (path: string) => number {
  const layers: Record<string, string[]> = {}
  for (const path of paths) {
    const layer = layerPattern.exec(path)?.[0]
    const known = layers[towerOf(path)] ?? []
    layers[towerOf(path)] = layer && !known.includes(layer) ? [...known, layer] : known
  }
  return (path) => {
    if (topPattern.test(path)) return 1
    const known = layers[towerOf(path)] ?? []
    // What is in no layer and not on top is below all layers: stem, embeddings, class tokens.
    const below = known.length - known.indexOf(layerPattern.exec(path)?.[0] ?? "")
    return decay ** below
  }
}

function towerOf(path: string): string {
  return path.slice(0, path.indexOf("."))
}
