/** The two towers of a model as ONNX files. */
import { towers } from "../core/manifest.ts"
import type { Clip } from "../model/clip.ts"
import { traceOnnx } from "../tensor/onnx.ts"
import type { EncodedModel } from "../tensor/onnx-proto.ts"

export type TowerName = keyof typeof towers

/** @param metadata stored in the file */
export function traceTower(
  tower: TowerName,
  model: Clip,
  metadata: Readonly<Record<string, string>> = {},
): EncodedModel {
  const { input, output } = towers[tower]
  const { imageSize, text } = model.config
  const spec = { name: tower, parameters: model.namedParameters(), metadata }
  if (tower === "image") {
    const inputs = { [input]: { dtype: "float32", shape: [-1, 3, imageSize, imageSize] } } as const
    return traceOnnx({ ...spec, inputs }, (pixels) => ({ [output]: model.encodeImage(pixels!) }))
  }
  const inputs = { [input]: { dtype: "int64", shape: [-1, text.contextLength] } } as const
  return traceOnnx({ ...spec, inputs }, (ids) => ({ [output]: model.encodeText(ids!) }))
}
