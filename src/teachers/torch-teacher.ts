/** A checkpoint as a teacher, computed by libtorch on the processor or a GPU, in its folded form. */
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity, type WeightsFile } from "../core/inference/teacher-identity.ts"
import { dtypeOf, type Precision } from "../core/precision.ts"
import { TextRows, textBatch } from "../core/text/token-rows.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { fold, reparameterize } from "../model/reparameterize.ts"
import { checkDevice, TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder, weightsIn } from "../tensor/torch-encoder.ts"

export interface TorchOptions {
  readonly device?: "cpu" | "cuda"
  /**
   * Type of matrix products and convolutions. On the processor weights and what lies between layers are of it, too; on a
   * GPU they stay float32, as autocast has it. Norms, softmax and means add up in float32 in any case.
   */
  readonly precision?: Precision
}

export interface TorchModelInfo {
  readonly name: string
  readonly preprocessing: Preprocessing
  /** The checkpoint. */
  readonly weights: readonly WeightsFile[]
}

/** Copies the weights to the device. Throws UserError when there is no such device. */
export function torchTeacher(model: CheckpointModel, info: TorchModelInfo, options: TorchOptions = {}): Teacher {
  const { device = "cpu", precision } = options
  const encoder = fusedEncoder(model, info.preprocessing, options)
  const texts = new TextRows(encoder.contextLength)
  return {
    ...{ name: info.name, preprocessing: info.preprocessing, embedDim: encoder.embedDim },
    identity: torchIdentity(info, precision),
    encodePixels: async (pixels, count) => encoder.encodePixels(pixels, count),
    encodeTexts: (given) =>
      texts.encode(given, textBatch[device], ({ ids, lengths }) => encoder.encodeTokens(ids, lengths.length)),
    [Symbol.asyncDispose]: async () => encoder.free(),
  }
}

/** The model in its folded form, on the device. Throws UserError when there is no such device, or it does not compute in this precision. */
export function fusedEncoder<Model extends CheckpointModel>(
  model: Model,
  preprocessing: Preprocessing,
  { device = "cpu", precision = "float32" }: TorchOptions,
): TorchEncoder<Model> {
  checkDevice(device)
  if (device === "cpu" && precision === "float16") {
    throw new UserError("fp16 is not computed on the processor", "use fp32 or bf16 there")
  }
  const folded = fold(reparameterize(model))
  const dtype = weightsIn(device, precision)
  const interpreter = new TorchInterpreter(folded, { device, dtype, channelsLast: true })
  return new TorchEncoder(folded, interpreter, { preprocessing, precision })
}

/** The identity of a model run by libtorch: a lower precision gives other numbers. */
export function torchIdentity({ name, weights, preprocessing }: TorchModelInfo, precision: Precision = "float32") {
  return modelIdentity(name, weights, preprocessing, precision === "float32" ? [] : [dtypeOf(precision)])
}
