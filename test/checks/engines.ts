/** The same model through both engines. N images and texts in one batch. */
import "../../src/host/no-telemetry.ts"

import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node"
import type { Module } from "../../src/model/module.ts"
import { traceOnnx } from "../../src/tensor/onnx.ts"
import type { EncodedModel } from "../../src/tensor/onnx-proto.ts"
import type { Tensor } from "../../src/tensor/tensor.ts"
import { hostValues, TorchInterpreter } from "../../src/tensor/torch.ts"
import * as torch from "../../torch/index.ts"

interface Input {
  /** [N, 3, S, S] */
  readonly pixels: Float32Array
  readonly tokens: readonly (readonly number[])[]
}

/** A model that embeds images and texts. */
interface TwoTowers extends Module {
  readonly config: { readonly imageSize: number; readonly text: { readonly contextLength: number } }
  encodeImage(images: Tensor): Tensor
  encodeText(ids: Tensor): Tensor
}

/** Row-major [N, embedDim] each, not normalised. */
export interface Features {
  readonly image: Float32Array
  readonly text: Float32Array
}

export function torchFeatures(model: TwoTowers, { pixels, tokens }: Input, device: torch.Device = "cpu"): Features {
  const interpreter = new TorchInterpreter(model, { device })
  const { imageSize, text } = model.config
  try {
    return torch.scope(() =>
      torch.noGrad(() => ({
        image: hostValues(
          interpreter.unwrap(
            model.encodeImage(
              interpreter.images(pixels, [pixels.length / (3 * imageSize ** 2), 3, imageSize, imageSize]),
            ),
          ),
        ),
        text: hostValues(
          interpreter.unwrap(model.encodeText(interpreter.tokens(int64(tokens), [tokens.length, text.contextLength]))),
        ),
      })),
    )
  } finally {
    interpreter.free()
  }
}

export async function onnxFeatures(model: TwoTowers, { pixels, tokens }: Input): Promise<Features> {
  const { imageSize, text } = model.config
  const vision = traceOnnx(
    {
      name: "vision",
      parameters: model.namedParameters(),
      inputs: { pixels: { dtype: "float32", shape: [-1, 3, imageSize, imageSize] } },
    },
    (x) => ({ features: model.encodeImage(x!) }),
  )
  const language = traceOnnx(
    {
      name: "text",
      parameters: model.namedParameters(),
      inputs: { ids: { dtype: "int64", shape: [-1, text.contextLength] } },
    },
    (ids) => ({ features: model.encodeText(ids!) }),
  )
  const shape = [pixels.length / (3 * imageSize ** 2), 3, imageSize, imageSize]
  return {
    image: await run(vision, { pixels: new OrtTensor("float32", pixels, shape) }),
    text: await run(language, { ids: new OrtTensor("int64", int64(tokens), [tokens.length, text.contextLength]) }),
  }
}

export async function openSession(model: EncodedModel): Promise<InferenceSession> {
  const file = new Uint8Array(model.byteLength)
  let offset = 0
  for (const chunk of model.chunks()) {
    file.set(chunk, offset)
    offset += chunk.length
  }
  return InferenceSession.create(file, { intraOpNumThreads: 2 })
}

async function run(model: EncodedModel, feeds: Record<string, OrtTensor>): Promise<Float32Array> {
  const session = await openSession(model)
  try {
    const { features } = await session.run(feeds)
    return Float32Array.from(features!.data as Float32Array)
  } finally {
    await session.release()
  }
}

export function int64(rows: readonly (readonly number[])[]): BigInt64Array {
  return BigInt64Array.from(rows.flat(), BigInt)
}
