/**
 * Losses over a batch of pairs: contrastive (CLIP), distillation from an ensemble of teachers (MobileCLIP's multi-modal
 * reinforced training), and their sigmoid forms (SigLIP).
 *
 * Row i of the images belongs to row i of the texts. A process holds n rows of a batch of N and compares them with all N
 * (open_clip's local loss); where there is one process, n is N. D is the width of a feature, K the number of teachers.
 * Papers: arXiv 2103.00020, 2311.17049 (equation 2), 2303.15343. Like the published code, distillation is the cross
 * entropy against the teachers' distribution: the papers' KL divergence plus a constant.
 */
import * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"

/** Features of one kind: this process's and the whole batch's. */
export interface GatheredFeatures {
  /** [n, D] */
  readonly rows: torch.Tensor
  /** [N, D] */
  readonly all: torch.Tensor
}

/** Features of pictures and of one caption of each: a student's, or those of several teachers side by side. */
export interface Pairing {
  readonly image: GatheredFeatures
  readonly text: GatheredFeatures
}

/** Position of this process's first row in the whole batch. */
type Offset = number

export interface TeacherConfig {
  /** Width of each teacher's features, which are concatenated. */
  readonly widths: readonly number[]
  /** One factor for each teacher's cosine similarities; a single one where they are averaged before the softmax. */
  readonly scales: readonly number[]
  /** SigLIP form only: added to each teacher's scaled similarities. */
  readonly biases?: readonly number[]
  /** Whether the target is the mean of the teachers' distributions; else it is one distribution of the concatenated features, with one scale. */
  readonly averageAfterSoftmax: boolean
}

/** Rows of unit length; the norm is at least 1e-12, as in PyTorch's `normalize`. */
export function l2Normalize(features: torch.Tensor): torch.Tensor {
  return features.div(features.norm([-1], true).clamp(1e-12, null))
}

/**
 * CLIP's loss: the mean of the cross entropies image -> text and text -> image.
 *
 * @param scale the factor on cosine similarities, exp of the learned `logitScale`; shape []
 * @returns shape []
 */
export function contrastiveLoss(student: Pairing, scale: torch.Tensor, offset: Offset = 0): torch.Tensor {
  const rows = student.image.rows.shape[0]!
  const targets = torch.arange(offset, offset + rows, 1, { dtype: "int64", device: scale.device })
  const [perImage, perText] = logits(student).map((x) => torch.crossEntropy(x.mul(scale), targets))
  return perImage!.add(perText!).div(2)
}

/**
 * Cross entropy of the student's distributions over the batch against the teachers', the mean of both directions, each
 * with its own softmax. No gradient reaches the teachers.
 *
 * @returns shape []
 */
export function distillationLoss(
  student: Pairing,
  teacher: Pairing,
  scale: torch.Tensor,
  config: TeacherConfig,
): torch.Tensor {
  const targets = teacherTargets(teacher, config)
  const [perImage, perText] = logits(student).map((x, i) => softCrossEntropy(x.mul(scale), targets[i]!))
  return perImage!.add(perText!).div(2)
}

/** The teachers' distributions image -> text and text -> image, [n, N] each; every row sums to 1. */
export function teacherTargets(teacher: Pairing, config: TeacherConfig): [torch.Tensor, torch.Tensor] {
  return torch.noGrad(() => {
    const distributions = scaledTeachers(teacher, config).map((pair) => pair.map((x) => x.softmax(-1)))
    return [0, 1].map((direction) => mean(distributions.map((pair) => pair[direction]!))) as [
      torch.Tensor,
      torch.Tensor,
    ]
  })
}

/**
 * SigLIP's loss: every picture with every text is a yes-or-no question.
 *
 * @param bias the learned `logitBias`; shape []
 * @returns shape []
 */
export function siglipLoss(student: Pairing, scale: torch.Tensor, bias: torch.Tensor, offset: Offset = 0) {
  const x = pairLogits(student, scale, bias)
  const [rows, columns] = x.shape as readonly [number, number]
  const own = torch.arange(offset, offset + rows, 1, { dtype: "int64", device: x.device }).unsqueeze(1)
  const matches = torch.arange(0, columns, 1, { dtype: "int64", device: x.device }).eq(own)
  return sigmoidLoss(x, matches.to({ dtype: x.dtype }).mul(2).sub(1))
}

/** SigLIP's loss with teachers' probabilities p in place of yes and no: the factor on the logits is 2p - 1. */
export function siglipDistillationLoss(
  student: Pairing,
  teacher: Pairing,
  scale: torch.Tensor,
  bias: torch.Tensor,
  config: TeacherConfig,
): torch.Tensor {
  const signs = torch.noGrad(() => {
    const probabilities = mean(scaledTeachers(teacher, config).map(([perImage]) => perImage.sigmoid()))
    return probabilities.mul(2).sub(1)
  })
  return sigmoidLoss(pairLogits(student, scale, bias), signs)
}

function pairLogits({ image, text }: Pairing, scale: torch.Tensor, bias: torch.Tensor): torch.Tensor {
  return image.rows.matmul(text.all.transpose(0, 1)).mul(scale).add(bias)
}

/** The sum over texts and the mean over pictures. */
function sigmoidLoss(x: torch.Tensor, signs: torch.Tensor): torch.Tensor {
  return logSigmoid(x.mul(signs)).sum().neg().div(x.shape[0]!)
}

/** Cosine similarities image -> text and text -> image, [n, N] each. */
function logits({ image, text }: Pairing): [torch.Tensor, torch.Tensor] {
  return [image.rows.matmul(text.all.transpose(0, 1)), text.rows.matmul(image.all.transpose(0, 1))]
}

function softCrossEntropy(x: torch.Tensor, targets: torch.Tensor): torch.Tensor {
  return logSoftmax(x, -1).mul(targets).sum([-1]).mean().neg()
}

/** Scaled similarities of each teacher, or of all as one. */
function scaledTeachers(teacher: Pairing, config: TeacherConfig): [torch.Tensor, torch.Tensor][] {
  checkTeachers(config)
  const { widths, scales, biases = [], averageAfterSoftmax } = config
  const parts = averageAfterSoftmax ? split(teacher, widths) : [teacher]
  return parts.map(
    (part, k) => logits(part).map((x) => x.mul(scales[k]!).add(biases[k] ?? 0)) as [torch.Tensor, torch.Tensor],
  )
}

function split({ image, text }: Pairing, widths: readonly number[]): Pairing[] {
  return widths.map((width, k) => {
    const start = widths.slice(0, k).reduce((sum, w) => sum + w, 0)
    const cut = ({ rows, all }: GatheredFeatures) => ({
      rows: rows.narrow(1, start, width),
      all: all.narrow(1, start, width),
    })
    return { image: cut(image), text: cut(text) }
  })
}

function mean(tensors: readonly torch.Tensor[]): torch.Tensor {
  return tensors.reduce((sum, x) => sum.add(x)).div(tensors.length)
}

/** Throws a UserError unless there is one scale for each teacher, or a single one where the teachers are averaged before the softmax. */
function checkTeachers({ widths, scales, biases, averageAfterSoftmax }: TeacherConfig): void {
  const expected = averageAfterSoftmax ? widths.length : 1
  if (scales.length === expected && (biases ?? scales).length === expected) return
  throw new UserError(
    `teachers: ${widths.length}, scales for them: ${scales.length}${biases ? `, biases: ${biases.length}` : ""}`,
    averageAfterSoftmax
      ? `give one for each teacher: 'loss.teacherScales=[${widths.map(() => 70)}]', or other numbers`
      : "give a single one: teachers averaged before the softmax share it",
  )
}

const logSoftmax = torch.operator<[torch.Tensor, dim: number], torch.Tensor>("log_softmax.int")
const logSigmoid = torch.operator<[torch.Tensor], torch.Tensor>("log_sigmoid")
