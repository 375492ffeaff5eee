/**
 * Losses and their gradients against the reference, in float64: contrastive, distillation, the sum over real and synthetic
 * captions, SigLIP, CoCa, and the teachers' distributions themselves.
 */
import { readFileSync } from "node:fs"
import { captionLoss } from "../../src/train/caption-loss.ts"
import { teacherTargets } from "../../src/train/loss.ts"
import {
  type DistillationConfig,
  featureLosses,
  type LossInput,
  type ObjectiveConfig,
} from "../../src/train/objective.ts"
import * as torch from "../../torch/index.ts"
import type { Check } from "./check.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

interface LossFile {
  /** Widths of the teachers of `teacher_targets_avg`; a case has its own. */
  readonly teacher_dims: readonly number[]
  readonly inputs: Readonly<Record<"image" | "text" | "syn" | "dist_image" | "dist_text" | "dist_syn", Rows>>
  readonly cases: readonly Case[]
  readonly siglip_cases?: readonly Case[]
  readonly coca_case?: CocaCase
  readonly teacher_targets_avg?: { readonly image_to_text: Rows; readonly text_to_image: Rows }
}

interface Case {
  readonly name: string
  readonly ctor: {
    readonly teacher_dimension?: readonly number[]
    readonly distill_loss_weights?: readonly [number, number]
    readonly average_after_softmax?: boolean
    readonly average_after_sigmoid?: boolean
    /** Absent or null means 1 for every teacher. */
    readonly dist_logit_scale?: number | readonly number[] | null
    readonly dist_logit_bias?: number | readonly number[]
  }
  readonly logit_scale_exp: number
  readonly logit_bias?: number
  readonly uses_syn?: boolean
  readonly f64: Readonly<Record<string, number | Rows>>
}

interface CocaCase {
  readonly caption_loss_weight: number
  readonly clip_loss_weight: number
  readonly pad_id: number
  readonly logit_scale_exp: number
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

export function* checkLoss(file: string, device: torch.Device): Iterable<Check> {
  const golden = JSON.parse(readFileSync(file, "utf8")) as LossFile
  const { inputs, cases, siglip_cases = [], coca_case, teacher_targets_avg, teacher_dims } = golden
  for (const each of [...cases, ...siglip_cases]) yield* checkCase(inputs, each, device)
  if (coca_case) yield* checkCoca(inputs, coca_case, device)
  if (teacher_targets_avg) yield checkTargets(inputs, teacher_dims, teacher_targets_avg, device)
}

function* checkCase(inputs: LossFile["inputs"], each: Case, device: torch.Device): Iterable<Check> {
  const errors = torch.scope(() => caseErrors(inputs, each, device))
  for (const [what, error] of Object.entries(errors))
    yield { what: `${each.name}: ${what}`, error, tolerance: tolerances.loss }
}

function caseErrors(inputs: LossFile["inputs"], each: Case, device: torch.Device): Record<string, number> {
  const objective = objectiveOf(each)
  const { leaves, input } = inputOf(inputs, each, objective, device)
  const losses = featureLosses(objective, input)
  const total = Object.values(losses).reduce((sum, loss) => sum.add(loss))
  total.backward()
  const ours: Record<string, readonly number[]> = {
    contrastive_loss: [losses.contrastive!.item()],
    ...(losses.distillation && { distill_loss: [losses.distillation.item()] }),
    total: [total.item()],
    ...Object.fromEntries(Object.entries(leaves).map(([name, leaf]) => [`grad_${name}`, values(leaf.grad!)])),
    // d/d ln s = s d/d s.
    ...("grad_log_logit_scale" in each.f64 && {
      grad_log_logit_scale: [leaves.logit_scale_exp!.grad!.item() * each.logit_scale_exp],
    }),
  }
  return Object.fromEntries(
    Object.entries(each.f64).map(([name, value]) => [name, maxError(ours[name] ?? [], flat(value))]),
  )
}

function objectiveOf({ ctor, logit_bias: bias }: Case): ObjectiveConfig {
  const distill = ctor.teacher_dimension && distillationOf(ctor, bias !== undefined)
  if (bias !== undefined) return { kind: "siglip", ...(distill && { distill }) }
  return distill ? { kind: "distill", ...distill } : { kind: "clip" }
}

/** DistillClipLoss takes a bias and ignores it; the sigmoid form uses it. */
function distillationOf(ctor: Case["ctor"], sigmoid: boolean): DistillationConfig {
  const averaged = ctor.average_after_softmax ?? ctor.average_after_sigmoid ?? false
  const count = averaged ? ctor.teacher_dimension!.length : 1
  const list = (value: number | readonly number[]) => (typeof value === "number" ? [value] : value)
  return {
    weights: ctor.distill_loss_weights!,
    scales: ctor.dist_logit_scale == null ? Array<number>(count).fill(1) : list(ctor.dist_logit_scale),
    ...(sigmoid && { biases: list(ctor.dist_logit_bias!) }),
    averageAfterSoftmax: averaged,
  }
}

function inputOf(inputs: LossFile["inputs"], each: Case, objective: ObjectiveConfig, device: torch.Device) {
  const widths = each.ctor.teacher_dimension ?? []
  const leaf = (value: torch.Tensor) => value.requiresGrad_()
  const names = each.uses_syn ? (["image", "text", "syn"] as const) : (["image", "text"] as const)
  const leaves: Record<string, torch.Tensor> = {
    ...Object.fromEntries(names.map((name) => [name, leaf(matrix(inputs[name], device))])),
    logit_scale_exp: leaf(scalar(each.logit_scale_exp, device)),
    ...(each.logit_bias !== undefined && { logit_bias: leaf(scalar(each.logit_bias, device)) }),
  }
  const side = (rows: torch.Tensor) => ({ rows, all: rows })
  const teacher = {
    ...{ image: side(matrix(inputs.dist_image, device)), text: side(matrix(inputs.dist_text, device)), widths },
    ...(each.uses_syn && { synthetic: side(matrix(inputs.dist_syn, device)) }),
  }
  const input: LossInput = {
    image: side(leaves.image!),
    text: side(leaves.text!),
    ...(leaves.syn && { synthetic: side(leaves.syn) }),
    ...(objective.kind !== "clip" && { teacher }),
    scale: leaves.logit_scale_exp!,
    ...(leaves.logit_bias && { bias: leaves.logit_bias }),
    offset: 0,
  }
  return { leaves, input }
}

function* checkCoca(inputs: LossFile["inputs"], golden: CocaCase, device: torch.Device): Iterable<Check> {
  const errors = torch.scope(() => {
    const [image, text] = [matrix(inputs.image, device).requiresGrad_(), matrix(inputs.text, device)]
    const logits = torch
      .tensor(Float64Array.from(golden.logits.flat(2), Math.fround), shapeOf(golden.logits), { device })
      .requiresGrad_()
    const labels = torch.tensor(BigInt64Array.from(golden.labels.flat(), BigInt), [golden.labels.flat().length], {
      device,
    })
    const side = (rows: torch.Tensor) => ({ rows, all: rows })
    const scale = scalar(golden.logit_scale_exp, device)
    const objective = {
      kind: "coca",
      clipWeight: golden.clip_loss_weight,
      captionWeight: golden.caption_loss_weight,
    } as const
    const { contrastive } = featureLosses(objective, { image: side(image), text: side(text), scale, offset: 0 })
    const caption = captionLoss(logits, labels, golden.pad_id).mul(objective.captionWeight)
    const total = contrastive!.add(caption)
    total.backward()
    const { f64 } = golden
    return {
      contrastive_loss: Math.abs(contrastive!.item() - f64.contrastive_loss),
      caption_loss: Math.abs(caption.item() - f64.caption_loss),
      total: Math.abs(total.item() - f64.total),
      grad_logits: maxError(values(logits.grad!), f64.grad_logits.flat(2)),
      grad_image: maxError(values(image.grad!), f64.grad_image.flat()),
    }
  })
  for (const [what, error] of Object.entries(errors)) yield { what: `coca: ${what}`, error, tolerance: tolerances.loss }
}

function checkTargets(
  inputs: LossFile["inputs"],
  widths: readonly number[],
  golden: { readonly image_to_text: Rows; readonly text_to_image: Rows },
  device: torch.Device,
): Check {
  const error = torch.scope(() => {
    const side = (rows: torch.Tensor) => ({ rows, all: rows })
    const teacher = { image: side(matrix(inputs.dist_image, device)), text: side(matrix(inputs.dist_text, device)) }
    const scales = [70, 60].slice(0, widths.length)
    const [perImage, perText] = teacherTargets(teacher, { widths, scales, averageAfterSoftmax: true })
    return Math.max(
      maxError(values(perImage), golden.image_to_text.flat()),
      maxError(values(perText), golden.text_to_image.flat()),
    )
  })
  return { what: "the teachers' distributions", error, tolerance: tolerances.loss }
}

function matrix(rows: Rows, device: torch.Device): torch.Tensor {
  return torch.tensor(Float64Array.from(rows.flat(), Math.fround), [rows.length, rows[0]!.length], { device })
}

function scalar(value: number, device: torch.Device): torch.Tensor {
  return torch.tensor(Float64Array.of(value), [], { device })
}

function shapeOf(logits: readonly Rows[]): number[] {
  return [logits.length, logits[0]!.length, logits[0]![0]!.length]
}

function values(tensor: torch.Tensor): number[] {
  return Array.from(torch.noGrad(() => tensor.detach().data()) as Float64Array)
}

function flat(value: number | Rows): readonly number[] {
  return typeof value === "number" ? [value] : value.flat()
}

function maxError(ours: readonly number[], reference: readonly number[]): number {
  if (ours.length !== reference.length) return Number.POSITIVE_INFINITY
  return reference.reduce((max, x, i) => Math.max(max, Math.abs(x - ours[i]!)), 0)
}
