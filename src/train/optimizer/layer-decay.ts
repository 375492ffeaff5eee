/**
 * Layer-wise learning rates: in each tower the last layer learns at the full rate and every layer below at `decay` times
 * that of the one above. Source: BEiT, arXiv 2106.08254, appendix; as open_clip's and timm's fine-tuning do it.
 */
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
    // What is in no layer and not on top lies below all: stem, embeddings, class tokens.
    const below = known.length - known.indexOf(layerPattern.exec(path)?.[0] ?? "")
    return decay ** below
  }
}

function towerOf(path: string): string {
  return path.slice(0, path.indexOf("."))
}
