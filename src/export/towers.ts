/** The towers of a model as ONNX files. */
import { memoryName, type TowerFile } from "../core/inference/manifest.ts"
import { type OnnxDtype, precisionOf } from "../core/precision.ts"
import type { Clip, ImageEncoder } from "../model/clip.ts"
import { Coca } from "../model/coca.ts"
import { traceOnnx } from "../tensor/onnx.ts"
import type { EncodedModel, EncodeOptions } from "../tensor/onnx-proto.ts"

export type TowerName = "image" | "text"

/** Two towers, the image tower alone, or two and a decoder. */
export type ExportableModel = Clip | ImageEncoder | Coca

export interface TraceOptions {
  /** Stored in the file. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly dtype?: OnnxDtype
  readonly encode?: EncodeOptions
}

export function towersOf(model: ExportableModel): TowerName[] {
  return "text" in model ? ["image", "text"] : ["image"]
}

export function traceTower(
  tower: TowerName,
  model: ExportableModel,
  file: TowerFile,
  options: TraceOptions = {},
): EncodedModel {
  return tower === "image" ? traceImage(model, file, options) : traceText(model, file, options)
}

function traceImage(model: ExportableModel, { input, output }: TowerFile, options: TraceOptions): EncodedModel {
  const size = model.config.imageSize
  const inputs = { [input]: { dtype: "float32", shape: [-1, 3, size, size] } } as const
  return traceOnnx({ ...spec("image", model, options), inputs }, (pixels) => {
    if (!(model instanceof Coca)) return { [output]: model.encodeImage(pixels!) }
    const { embedding, tokens } = model.image.forward(pixels!)
    return { [output]: embedding, [memoryName]: model.imageMemory(tokens) }
  })
}

function traceText(model: ExportableModel, { input, output, ids = "int64" }: TowerFile, options: TraceOptions) {
  if (!("text" in model)) throw new Error("an image tower alone has no text tower")
  const inputs = { [input]: { dtype: ids, shape: [-1, model.config.text.contextLength] } } as const
  return traceOnnx({ ...spec("text", model, options), inputs }, (tokens) => ({ [output]: model.encodeText(tokens!) }))
}

/** One more token: ids [N, 1], cache [N, S, cacheWidth], memory -> logits [N, vocabSize], cache [N, S + 1, cacheWidth]. */
export function traceDecoder(model: Coca, { input, output }: TowerFile, options: TraceOptions = {}): EncodedModel {
  const tokens = model.config.pooler.queries - 1
  const inputs = {
    [input]: { dtype: "int64", shape: [-1, 1] },
    past: { dtype: "float32", shape: [-1, -1, model.cacheWidth] },
    [memoryName]: { dtype: "float32", shape: [-1, tokens, model.memoryWidth] },
  } as const
  return traceOnnx({ ...spec("decoder", model, options), inputs }, (ids, past, memory) => {
    const { logits, cache } = model.step(ids!, past!, memory!)
    return { [output]: logits, present: cache }
  })
}

function spec(name: string, model: ExportableModel, { metadata = {}, dtype = "fp32", encode = {} }: TraceOptions) {
  return { name, parameters: model.namedParameters(), metadata, dtype: precisionOf(dtype), encode }
}
