/** The `coca_case` of the golden losses: both losses, their sum, and the gradients, in float64. */
import { cocaLoss } from "../../src/train/caption-loss.ts"
import * as torch from "../../torch/index.ts"
import type { Check } from "./check.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

export interface GoldenCocaCase {
  readonly caption_loss_weight: number
  readonly clip_loss_weight: number
  readonly pad_id: number
  readonly logit_scale_exp: number
  /** [N, L, vocabSize] */
  readonly logits: readonly Rows[]
  readonly labels: Rows
  readonly f64: {
    readonly contrastive_loss: number
    readonly caption_loss: number
    readonly total: number
    readonly grad_logits: readonly Rows[]
    readonly grad_image: Rows
  }
}

/** `inputs` are the file's own, unit rows. */
export function* checkCocaLoss(golden: GoldenCocaCase, inputs: { image: Rows; text: Rows }): Iterable<Check> {
  const { f64, clip_loss_weight, caption_loss_weight } = golden
  const logits = leaf(golden.logits.flat(2), [golden.logits.length, -1, golden.logits[0]![0]!.length])
  const [image, text] = [inputs.image, inputs.text].map((rows) => leaf(rows.flat(), [rows.length, rows[0]!.length]))
  const labels = torch.tensor(BigInt64Array.from(golden.labels.flat(), BigInt), [
    golden.labels.length,
    golden.labels[0]!.length,
  ])
  const scale = torch.tensor([golden.logit_scale_exp], [], { dtype: "float64" })
  const weights = { contrastive: clip_loss_weight, caption: caption_loss_weight }
  const losses = cocaLoss({ image: image!, text: text!, logits, labels }, scale, weights, golden.pad_id)
  losses.total.backward()
  yield near("contrastive loss", [losses.contrastive.item()], [f64.contrastive_loss])
  yield near("caption loss", [losses.caption.item()], [f64.caption_loss])
  yield near("sum of the losses", [losses.total.item()], [f64.total])
  yield near("gradient of the logits", logits.grad!.data(), f64.grad_logits.flat(2))
  yield near("gradient of the image features", image!.grad!.data(), f64.grad_image.flat())
}

/** The JSON has 9 digits of float32 values. */
function leaf(values: readonly number[], shape: readonly number[]): torch.Tensor {
  const whole = shape.map((size) => (size === -1 ? values.length / (shape[0]! * shape.at(-1)!) : size))
  return torch.tensor(Float32Array.from(values), whole, { dtype: "float64", requiresGrad: true })
}

function near(what: string, found: ArrayLike<number | bigint>, expected: readonly number[]): Check {
  const error = Math.max(...expected.map((value, i) => Math.abs(value - Number(found[i]))))
  return { what: `CoCa, ${what}`, error, tolerance: tolerances.training.float64.exactness }
}
