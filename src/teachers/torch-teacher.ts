/** A checkpoint as a teacher, computed by libtorch on the processor or a GPU, in its fused form. */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity, type WeightsFile } from "../core/inference/teacher-identity.ts"
import { TextRows, textBatch } from "../core/text/token-rows.ts"
import type { Clip } from "../model/clip.ts"
import type { Coca } from "../model/coca.ts"
import { reparameterize } from "../model/reparameterize.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { hostValues, TorchInterpreter } from "../tensor/torch.ts"

export interface TorchTeacherOptions {
  readonly device?: "cpu" | "cuda"
  /** Of matrix products and convolutions; weights stay float32. */
  readonly precision?: Precision
}

export type Precision = "fp32" | "bf16" | "fp16"

export interface TorchModelInfo {
  readonly name: string
  readonly preprocessing: Preprocessing
  /** The checkpoint. */
  readonly weights: readonly WeightsFile[]
}

/** Copies the weights to the device. Throws UserError when there is no such device. */
export function torchTeacher(model: Clip | Coca, info: TorchModelInfo, options: TorchTeacherOptions = {}): Teacher {
  return new TorchTeacher(model, info, new TorchRunner(reparameterize(model), options))
}

/** The identity of a model run by libtorch: a lower precision gives other numbers. */
export function torchIdentity({ name, weights, preprocessing }: TorchModelInfo, precision: Precision): string {
  return modelIdentity(name, weights, preprocessing, precision === "fp32" ? [] : [precision])
}

const dtypes = { bf16: "bfloat16", fp16: "float16" } as const

/** A model without gradients: what a call makes is freed when it ends. */
export class TorchRunner<Model extends Clip | Coca> {
  readonly interpreter: TorchInterpreter
  readonly precision: Precision
  readonly device: "cpu" | "cuda"

  constructor(
    readonly model: Model,
    { device = "cpu", precision = "fp32" }: TorchTeacherOptions,
  ) {
    const devices = torch.devices()
    if (!devices.includes(device)) {
      throw new UserError(`this libtorch has no ${device}, but ${devices.join(", ")}`, "`mobileclip doctor` says why")
    }
    if (device === "cpu" && precision === "fp16") {
      throw new UserError("fp16 is not computed on the processor", "use fp32 or bf16 there")
    }
    this.interpreter = new TorchInterpreter(model, { device })
    this.precision = precision
    this.device = device
  }

  /** Everything made in `fn` is freed, but what it returns. */
  run<T>(fn: (interpreter: TorchInterpreter) => T): T {
    const { precision, device } = this
    const forward = () => fn(this.interpreter)
    const cast = () =>
      precision === "fp32" ? forward() : torch.autocast({ device, dtype: dtypes[precision] }, forward)
    return torch.scope(() => torch.noGrad(cast))
  }

  /** The values of one result, on the host. */
  values(fn: (interpreter: TorchInterpreter) => Tensor): Float32Array {
    return this.run((interpreter) => hostValues(interpreter.unwrap(fn(interpreter))))
  }
}

class TorchTeacher implements Teacher {
  readonly name: string
  readonly preprocessing: Preprocessing
  readonly embedDim: number
  readonly identity: string
  private readonly texts: TextRows

  constructor(
    model: Clip | Coca,
    info: TorchModelInfo,
    private readonly runner: TorchRunner<Clip | Coca>,
  ) {
    this.name = info.name
    this.preprocessing = info.preprocessing
    this.embedDim = model.config.embedDim
    this.identity = torchIdentity(info, runner.precision)
    this.texts = new TextRows(model.config.text.contextLength)
  }

  async encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    const { size } = this.preprocessing
    return this.runner.values((interpreter) =>
      this.runner.model.encodeImage(interpreter.images(pixels, [count, 3, size, size])),
    )
  }

  encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const { model } = this.runner
    return this.texts.encode(texts, { size: textBatch[this.runner.device], width: this.embedDim }, ({ ids, lengths }) =>
      this.runner.values((interpreter) =>
        model.encodeText(interpreter.tokens(ids, [lengths.length, this.texts.contextLength])),
      ),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.runner.interpreter.free()
  }
}
