/** What the parts of a model compute, and what a backward pass of them keeps, from the cost interpreter. */
import { assert } from "../../core/errors.ts"
import type { CheckpointModel } from "../../model/checkpoint/checkpoint.ts"
import { Coca } from "../../model/coca.ts"
import { type CostReport, type LayerCost, measureCost } from "../../tensor/cost.ts"

export const FLOAT_BYTES = 4

export type PartName = "image" | "text" | "decoder"

/** The parts of the model that are computed, in their order. */
export function partsOf(model: CheckpointModel): PartName[] {
  return model instanceof Coca ? ["image", "text", "decoder"] : ["image", "text"]
}

/** The cost of one picture, of one text, or of a caption of full length. */
export function partCost(model: CheckpointModel, part: PartName): CostReport {
  const { imageSize, text } = model.config
  const parameters = model.namedParameters()
  switch (part) {
    case "image":
      return measureCost(parameters, [[1, 3, imageSize, imageSize]], (x) => model.encodeImage(x!))
    case "text":
      return measureCost(parameters, [[1, text.contextLength]], (ids) => model.encodeText(ids!))
    case "decoder":
      return decoderCost(model)
    default:
      return part satisfies never
  }
}

/** The last token of a caption predicts nothing; query 0 of the image is its embedding. */
function decoderCost(model: CheckpointModel): CostReport {
  assert(model instanceof Coca, "a model without a decoder")
  const { text, pooler, embedDim } = model.config
  const inputs = [
    [1, text.contextLength - 1, text.width],
    [1, pooler.queries - 1, embedDim],
  ]
  return measureCost(model.namedParameters(), inputs, (tokens, image) =>
    model.decoder.forward(tokens!, model.decoder.keysAndValues(image!)),
  )
}

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
