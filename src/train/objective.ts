/** What a run minimises, as data, and as a function of features: the one argument in which plain, reinforced and captioner training differ. */
import type * as torch from "../../torch/index.ts"
import { UserError } from "../core/errors.ts"
import type { Batch } from "../data/training/batch.ts"
import {
  contrastiveLoss,
  distillationLoss,
  type GatheredFeatures,
  type Pairing,
  siglipDistillationLoss,
  siglipLoss,
  type TeacherConfig,
} from "./loss.ts"

/** The teachers' part; how wide each is comes with the batch. */
export interface DistillationConfig extends Omit<TeacherConfig, "widths"> {
  /** (1 - lambda, lambda): those of the contrastive and of the distillation loss. */
  readonly weights: readonly [number, number]
}

interface CaptioningConfig {
  readonly captionWeight: number
  /** Words besides those that occur over which the softmax of captions is estimated; absent: all, exactly. */
  readonly sampledWords?: number
}

export type ObjectiveConfig =
  | { readonly kind: "clip" }
  | ({ readonly kind: "distill" } & DistillationConfig)
  | { readonly kind: "siglip"; readonly distill?: DistillationConfig }
  | ({ readonly kind: "coca"; readonly clipWeight: number } & CaptioningConfig)

/** The whole batch as the loss sees it. */
export interface LossInput {
  readonly image: GatheredFeatures
  readonly text: GatheredFeatures
  /** A synthetic caption of each picture: a second pairing, whose losses are added. */
  readonly synthetic?: GatheredFeatures
  readonly teacher?: {
    readonly image: GatheredFeatures
    readonly text: GatheredFeatures
    readonly synthetic?: GatheredFeatures
    readonly widths: readonly number[]
  }
  /** exp(logitScale), shape [] */
  readonly scale: torch.Tensor
  /** logitBias, shape []; SigLIP only. */
  readonly bias?: torch.Tensor
  /** Position of the first of `rows` in `all`. */
  readonly offset: number
}

/** Losses over features by name; a step minimises their sum. Weights are inside. */
export function featureLosses(objective: ObjectiveConfig, input: LossInput): Record<string, torch.Tensor> {
  const parts = pairings(input).map((pairing) => pairLosses(objective, pairing, input))
  const names = Object.keys(parts[0]!)
  return Object.fromEntries(names.map((name) => [name, parts.map((part) => part[name]!).reduce((a, b) => a.add(b))]))
}

/** Throws a UserError when a batch lacks what the objective compares with. */
export function checkBatch(objective: ObjectiveConfig, { teacher, synthetic }: Batch): void {
  if (!distillationOf(objective)) return
  if (!teacher || (synthetic && !teacher.synthetic)) {
    throw new UserError(
      `the data has no teachers' embeddings${teacher ? " of synthetic captions" : ""}, which the loss "${objective.kind}" needs`,
      "train on reinforced shards (`mobileclip reinforce embed`), or give teachers to run along",
    )
  }
}

function distillationOf(objective: ObjectiveConfig): DistillationConfig | undefined {
  if (objective.kind === "distill") return objective
  return objective.kind === "siglip" ? objective.distill : undefined
}

/** The loss of the captions, to which each pair adds its own part; undefined where the objective has none. */
export function captioningOf(objective: ObjectiveConfig): CaptioningConfig | undefined {
  return objective.kind === "coca" ? objective : undefined
}

interface Pair {
  readonly student: Pairing
  readonly teacher: Pairing | undefined
}

function pairings({ image, text, synthetic, teacher }: LossInput): Pair[] {
  const real = { student: { image, text }, teacher: teacher && { image: teacher.image, text: teacher.text } }
  if (!synthetic) return [real]
  const second = teacher?.synthetic && { image: teacher.image, text: teacher.synthetic }
  return [real, { student: { image, text: synthetic }, teacher: second }]
}

function pairLosses(objective: ObjectiveConfig, { student, teacher }: Pair, input: LossInput) {
  const { scale, bias, offset } = input
  const distillation = distillationOf(objective)
  const [plain, distilled] = distillation?.weights ?? [1, 0]
  const config = distillation && { ...distillation, widths: input.teacher?.widths ?? [] }
  switch (objective.kind) {
    case "clip":
      return { contrastive: contrastiveLoss(student, scale, offset) }
    case "coca":
      return { contrastive: contrastiveLoss(student, scale, offset).mul(objective.clipWeight) }
    case "distill":
      return {
        contrastive: contrastiveLoss(student, scale, offset).mul(plain),
        distillation: distillationLoss(student, teacher!, scale, config!).mul(distilled),
      }
    case "siglip":
      return {
        contrastive: siglipLoss(student, scale, bias!, offset).mul(plain),
        ...(config && { distillation: siglipDistillationLoss(student, teacher!, scale, bias!, config).mul(distilled) }),
      } as Record<string, torch.Tensor>
    default:
      return objective satisfies never
  }
}
