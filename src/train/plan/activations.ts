/** What a backward pass keeps, from the layers that the cost interpreter saw. */
import type { LayerCost } from "../../tensor/cost.ts"

export const FLOAT_BYTES = 4

interface ActivationOptions {
  /** Whether only the inputs of blocks are kept, and what is inside is computed again, one block at a time. */
  readonly checkpointing: boolean
}

/** Bytes in float32 for one sample: the results of all operations, which is more than libtorch keeps of some. */
export function activationBytes(layers: readonly LayerCost[], { checkpointing }: ActivationOptions): number {
  if (!checkpointing) return layers.reduce((sum, layer) => sum + layer.activationBytes, 0)
  const blocks = blocksOf(layers)
  const kept = blocks.reduce((sum, { outputBytes }) => sum + outputBytes, 0)
  return kept + Math.max(...blocks.map(({ bytes }) => bytes))
}

interface Block {
  bytes: number
  outputBytes: number
}

/** Layers in the order of execution, joined where they belong to one block: `image.stages.2.blocks.5`. */
function blocksOf(layers: readonly LayerCost[]): Block[] {
  const blocks = new Map<string, Block>()
  for (const { path, activationBytes, shape } of layers) {
    const name = /^.*?\bblocks\.\d+/.exec(path)?.[0] ?? path.split(".").slice(0, 3).join(".")
    const block = blocks.get(name) ?? { bytes: 0, outputBytes: 0 }
    const outputBytes = shape.reduce((product, dim) => product * dim, FLOAT_BYTES)
    blocks.set(name, { bytes: block.bytes + activationBytes, outputBytes })
  }
  return [...blocks.values()]
}
