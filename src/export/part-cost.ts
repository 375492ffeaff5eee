/** What the parts of a model compute, by the cost interpreter. */
import { assert } from "../core/errors.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { Coca } from "../model/coca.ts"
import { type CostReport, measureCost } from "../tensor/cost.ts"

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
