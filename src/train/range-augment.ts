/**
 * RangeAugment (https://arxiv.org/abs/2212.10553): brightness, contrast and noise of random strength whose ranges are
 * learned along with the student, so that the similarity (PSNR) of the changed pictures to the originals is the one given
 * for the step. It falls in the course of a run.
 *
 * Follows apple/corenet `neural_augmentor` in its mode "distribution" and `loss_fn/neural_augmentation.py`. Each of the
 * three, in an order drawn for every batch, changes a half of the pictures, drawn anew. Gradients of the ranges come from
 * the similarity and from the student's loss. Where we differ: every number that is drawn depends on the seed, the step,
 * the rank and the first picture of a chunk only, and the gradients of the six ends are not clipped along with the
 * student's, whose steps they would shorten; AdamW's own steps do not depend on their size. Nor are the ends decayed:
 * corenet decays scalars, open_clip's rule, which the student is trained by, does not.
 * Shapes: N pictures, S their side.
 */
import * as torch from "../../torch/index.ts"
import { Random } from "../core/arrays/random.ts"
import { UserError } from "../core/errors.ts"
import { hostValues } from "../tensor/torch.ts"

export interface RangeAugmentConfig {
  /** In decibels, at the first and at the last step; the mean squared error follows a cosine. 40 and 20 in the papers. */
  readonly psnr: readonly [number, number]
  readonly steps: number
  readonly seed: number
  /** The normalisation of the student's pixels; the changes are made to values in 0..1. */
  readonly normalization: Normalization
  readonly adam: { readonly beta1: number; readonly beta2: number; readonly eps: number }
}

interface Normalization {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** What a run is resumed with: the six ends before they are bounded, AdamW's moments, and how many updates were made. */
export interface RangeState {
  readonly ends: readonly number[]
  readonly first: readonly number[]
  readonly second: readonly number[]
  readonly updates: number
}

/**
 * Low and high end of each range: initial value before the sigmoid that bounds it, and the bounds. The numbers are
 * corenet's; with the sigmoid, brightness and contrast begin between 0.6 and 8.4, noise between 0 and 0.5.
 */
const factor = { low: [0.5, 0.1, 0.9], high: [1.5, 1.1, 10] } as const
const ranges = [factor, factor, { low: [0, 0, 0.00005], high: [0.1, 0.0001, 1] }] as const
const ends = ranges.flatMap(({ low, high }) => [low, high])

const kinds = ["brightness", "contrast", "noise"] as const
type Kind = (typeof kinds)[number]
/** The strength that changes nothing. */
const neutral = { brightness: 1, contrast: 1, noise: 0 } as const

/** Weight of the loss in corenet; the largest squared error of a byte scales it. */
const weight = 100 / 255 ** 2

const divergedHint = "lower the learning rate, or look for broken pictures"

/** The random numbers of one change of N pictures. */
export interface Change {
  readonly kind: Kind
  readonly chosen: readonly boolean[]
  /** From 0, the low end of the range, to 1, the high one. */
  readonly positions: readonly number[]
  /** The seed of the noise. */
  readonly seed: number
}

/** Changed pictures, for the student. */
export interface Augmented {
  /** [N, 3, S, S], normalised; a leaf of the student's graph. */
  readonly pixels: torch.Tensor
  /**
   * Adds the gradients of the ends. The gradient of `pixels` is that of the student's loss times `lossScale`. Returns the
   * loss of the similarity.
   */
  backward(lossScale: number): number
}

export class RangeAugment {
  private state: RangeState
  private step = 0
  private rank = 0
  private gradient = zeros()

  constructor(
    private readonly config: RangeAugmentConfig,
    state?: RangeState,
  ) {
    this.state = state ?? { ends: ends.map(([start]) => start), first: zeros(), second: zeros(), updates: 0 }
  }

  /** Begins a step, and drops the gradients of the one before. */
  begin(step: number, rank = 0): void {
    this.step = step
    this.rank = rank
    this.gradient = zeros()
  }

  /** The mean squared error, in byte values, that the pictures should have at this step. */
  get target(): number {
    return targetError(this.step, this.config)
  }

  /** Low and high end of brightness, contrast and noise, within their bounds. */
  get limits(): number[] {
    return this.state.ends.map((end, i) => {
      const [, least, most] = ends[i]!
      return least + (most - least) / (1 + Math.exp(-end))
    })
  }

  hostState(): RangeState {
    return this.state
  }

  /** The pictures of a chunk as the student sees them, without gradients: the same every time within a step. */
  see(pixels: torch.Tensor, first: number): torch.Tensor {
    return torch.noGrad(() => torch.scope(() => this.apply(pixels, first).seen))
  }

  /**
   * @param pixels [N, 3, S, S], as the student would see them
   * @param first position of the chunk in the batch of this process
   * @param pairs pairs in that batch: a picture's weight in the loss is one over their number
   * @param isWanted whether the student's gradient of its pictures is wanted
   */
  augment(pixels: torch.Tensor, first: number, pairs: number, isWanted: boolean): Augmented {
    const { leaf, seen, values, original } = this.apply(pixels, first)
    const leafOfStudent = seen.detach().requiresGrad_(isWanted)
    const backward = (lossScale: number) =>
      torch.scope(() => {
        const loss = similarityLoss(values, original, this.target).div(pairs)
        const student = leafOfStudent.grad
        const [gradient] = student
          ? torch.grad([loss, seen], [leaf], [torch.full([], lossScale, like(loss)), student])
          : torch.grad([loss], [leaf], [torch.full([], lossScale, like(loss))])
        const own = hostValues(gradient!)
        this.gradient = this.gradient.map((sum, i) => sum + own[i]! / lossScale)
        return loss.item()
      })
    return { pixels: leafOfStudent, backward }
  }

  /** False where a gradient of this process overflowed. */
  get isFinite(): boolean {
    return this.gradient.every(Number.isFinite)
  }

  /**
   * AdamW without decay. Throws a UserError where a gradient is not finite: an end would never be a number again.
   *
   * @param mean over all processes
   */
  update(learningRate: number, mean: (values: number[]) => number[] = (values) => values): void {
    const { beta1, beta2, eps } = this.config.adam
    const gradient = mean(this.gradient)
    if (!gradient.every(Number.isFinite))
      throw new UserError(`the gradients of the augmentation's ranges are ${gradient.join(", ")}`, divergedHint)
    const { state } = this
    const updates = state.updates + 1
    const first = state.first.map((m, i) => beta1 * m + (1 - beta1) * gradient[i]!)
    const second = state.second.map((v, i) => beta2 * v + (1 - beta2) * gradient[i]! ** 2)
    const [correction1, correction2] = [1 - beta1 ** updates, 1 - beta2 ** updates]
    const moved = state.ends.map(
      (end, i) => end - (learningRate * (first[i]! / correction1)) / (Math.sqrt(second[i]! / correction2) + eps),
    )
    this.state = { ends: moved, first, second, updates }
  }

  private apply(pixels: torch.Tensor, first: number) {
    const random = Random.of(this.config.seed, "range augment", this.step, this.rank, first)
    const changes = drawChanges(pixels.shape[0]!, random)
    const leaf = torch.tensor([...this.state.ends], [6], { ...like(pixels), requiresGrad: true })
    const [mean, std] = channels(this.config.normalization, pixels)
    const original = pixels.mul(std).add(mean)
    const values = changed(original, bounded(leaf), changes)
    return { leaf, original, values, seen: values.sub(mean).div(std) }
  }
}

/** The three changes in a random order; each is of half of the pictures, and of one at least. */
export function drawChanges(pictures: number, random: Random): Change[] {
  const count = Math.max(1, Math.floor(pictures / 2))
  const all = Array.from({ length: pictures }, (_, i) => i)
  return random.shuffle(kinds).map((kind) => {
    const chosen = new Set(random.shuffle(all).slice(0, count))
    return {
      kind,
      chosen: all.map((i) => chosen.has(i)),
      positions: all.map(() => random.uniform()),
      seed: random.uint32(),
    }
  })
}

/**
 * Pictures [N, 3, S, S] of values in 0..1, changed one after the other and clipped to 0..1 at the end.
 *
 * @param limits [6], low and high of brightness, contrast and noise
 */
export function changed(pictures: torch.Tensor, limits: torch.Tensor, changes: readonly Change[]): torch.Tensor {
  return changes.reduce((x, change) => apply(x, strengths(limits, change), change), pictures).clamp(0, 1)
}

function apply(x: torch.Tensor, strength: torch.Tensor, { kind, seed }: Change): torch.Tensor {
  switch (kind) {
    case "brightness":
      return x.mul(strength)
    case "contrast":
      return x.mul(strength).add(x.mean([2, 3], true).mul(strength.neg().add(1)))
    case "noise": {
      torch.manualSeed(seed)
      return x.add(torch.randn(x.shape, like(x)).mul(strength))
    }
    default:
      return kind satisfies never
  }
}

/** [N, 1, 1, 1]; for pictures that were not chosen, exactly the strength that changes nothing. */
function strengths(limits: torch.Tensor, { kind, chosen, positions }: Change): torch.Tensor {
  const column = (values: readonly number[]) => torch.tensor([...values], [values.length, 1, 1, 1], like(limits))
  const end = (which: 0 | 1) => limits.narrow(0, 2 * kinds.indexOf(kind) + which, 1).reshape([1, 1, 1, 1])
  const drawn = end(0).add(column(positions).mul(end(1).sub(end(0))))
  const others = column(chosen.map((isChosen) => (isChosen ? 0 : neutral[kind])))
  return drawn.mul(column(chosen.map(Number))).add(others)
}

function bounded(leaf: torch.Tensor): torch.Tensor {
  const least = torch.tensor(ends.map(([, from]) => from), [6], like(leaf)) // biome-ignore format: a line
  const span = torch.tensor(ends.map(([, from, to]) => to - from), [6], like(leaf)) // biome-ignore format: a line
  return leaf.sigmoid().mul(span).add(least)
}

/** Smooth L1 between each picture's mean squared error and the target, summed and weighted; shape []. */
function similarityLoss(values: torch.Tensor, original: torch.Tensor, target: number): torch.Tensor {
  const errors = values.sub(original).mul(255).pow(2).mean([1, 2, 3])
  return smoothL1(errors, torch.full(errors.shape, target, like(errors)), 2, 1).mul(weight)
}

/** The mean squared error in byte values that belongs to the step's similarity. */
export function targetError(step: number, { psnr, steps }: Pick<RangeAugmentConfig, "psnr" | "steps">): number {
  const [start, end] = psnr.map((decibels) => 255 ** 2 / 10 ** (decibels / 10)) as [number, number]
  return end + 0.5 * (start - end) * (1 + Math.cos((Math.PI * step) / (steps + 1)))
}

function channels({ mean, std }: Normalization, pixels: torch.Tensor): [mean: torch.Tensor, std: torch.Tensor] {
  const perChannel = (values: readonly number[]) => torch.tensor([...values], [1, 3, 1, 1], like(pixels))
  return [perChannel(mean), perChannel(std)]
}

function like({ dtype, device }: torch.Tensor) {
  return { dtype, device }
}

function zeros(): number[] {
  return ends.map(() => 0)
}

/** Reduction 2 is the sum. */
const smoothL1 = torch.operator<[input: torch.Tensor, target: torch.Tensor, reduction: number, beta: number], torch.Tensor>("smooth_l1_loss") // biome-ignore format: a line
