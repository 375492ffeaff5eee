/**
 * AdamW (decoupled weight decay) with open_clip's parameter groups, and clipping. Groups: open_clip main.py.
 */
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { Module } from "../../model/module.ts"
import { type HostCopy, ownCopy } from "../../tensor/torch.ts"
import type { Moments } from "../checkpoints/state.ts"

export interface AdamWConfig {
  readonly beta1: number
  readonly beta2: number
  /** Added to the root of the second moment; open_clip: 1e-6 for models named "vit", else 1e-8. */
  readonly eps: number
  readonly weightDecay: number
}

/** How parameters are treated, by their paths. */
interface ParameterOptions {
  /** Factor on the learning rate, for layer-wise decay; 1 by default. */
  readonly rateScale?: (path: string) => number
  /** Whether weight decay applies; by default to tensors of two dimensions and more. */
  readonly isDecayed?: (path: string) => boolean
}

/**
 * Which parameters of a model are decayed. open_clip leaves out vectors and scalars, and names containing bn, ln, bias or
 * logit_scale; in this family all of those are vectors or scalars. Layer scales [C, 1, 1] and position tables are decayed,
 * and class tokens where the reference's are [1, 1, D].
 */
export function decayOf(model: Module): (path: string) => boolean {
  const parameters = model.namedParameters()
  return (path) => parameters.get(path)!.isDecayed
}

interface Group {
  readonly weightDecay: number
  readonly rateScale: number
  readonly parameters: readonly torch.Tensor[]
  readonly firstMoments: readonly torch.Tensor[]
  readonly secondMoments: readonly torch.Tensor[]
}

export class AdamW {
  /** Updates made so far. */
  updates = 0
  private readonly groups: readonly Group[]
  private readonly paths: readonly string[]

  constructor(
    parameters: ReadonlyMap<string, torch.Tensor>,
    private readonly config: AdamWConfig,
    options: ParameterOptions = {},
  ) {
    const { rateScale = () => 1, isDecayed = (path) => parameters.get(path)!.shape.length >= 2 } = options
    const groups = groupBy([...parameters.keys()], (path) => `${isDecayed(path)} ${rateScale(path)}`)
    this.paths = groups.flat()
    this.groups = groups.map((paths) => {
      const weightDecay = isDecayed(paths[0]!) ? config.weightDecay : 0
      return {
        weightDecay,
        rateScale: rateScale(paths[0]!),
        ...withMoments(paths.map((path) => parameters.get(path)!)),
      }
    })
  }

  /**
   * One update from the parameters' gradients, times `gradientScale`; a parameter without one throws. The gradients may be
   * scaled in place.
   */
  step(learningRate: number, gradientScale = 1): void {
    this.updates += 1
    const update = () => {
      for (const group of this.groups) this.updateGroup(group, learningRate * group.rateScale, gradientScale)
    }
    torch.noGrad(() => torch.scope(update))
  }

  /** Drops all gradients, so that the next backward writes fresh ones. */
  zeroGrad(): void {
    for (const { parameters } of this.groups) for (const parameter of parameters) parameter.grad = null
  }

  private moments(): { path: string; first: torch.Tensor; second: torch.Tensor }[] {
    const first = this.groups.flatMap((group) => group.firstMoments)
    const second = this.groups.flatMap((group) => group.secondMoments)
    return this.paths.map((path, i) => ({ path, first: first[i]!, second: second[i]! }))
  }

  /** Host copies of the moments, by parameter path. They are copied as "first." and "second." of the path. */
  hostMoments(copy: HostCopy = ownCopy): Map<string, Moments> {
    return new Map(
      this.moments().map(({ path, first, second }) => [
        path,
        { first: copy(`first.${path}`, first), second: copy(`second.${path}`, second) },
      ]),
    )
  }

  /** Continues after `updates` updates with these moments. */
  restore(updates: number, moments: ReadonlyMap<string, Moments>): void {
    this.updates = updates
    for (const { path, first, second } of this.moments()) {
      const saved = moments.get(path)
      if (!saved)
        throw new UserError(
          `the training state has no optimiser moments for "${path}"`,
          "resume from a training state, not from an exported checkpoint",
        )
      copyInto(first, saved.first)
      copyInto(second, saved.second)
    }
  }

  free(): void {
    for (const { first, second } of this.moments()) {
      first.free()
      second.free()
    }
  }

  private updateGroup(group: Group, learningRate: number, gradientScale: number): void {
    const { weightDecay, parameters, firstMoments, secondMoments } = group
    const { updates } = this
    const gradients = parameters.map(gradientOf)
    const tensors = { parameters, gradients, firstMoments, secondMoments }
    torch.adamW(tensors, { ...this.config, learningRate, weightDecay, updates, gradientScale })
  }
}

/** The joint norm of all gradients. */
export function gradNormOf(parameters: Iterable<torch.Tensor>): number {
  return torch.noGrad(() =>
    torch.scope(() =>
      torch
        .stack(foreachNorm([...parameters].map(gradientOf), 2))
        .norm()
        .item(),
    ),
  )
}

/** The factor on gradients of a joint norm that makes it `maxNorm` at most. Source: PyTorch `clip_grad_norm_`. */
export function clipScale(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6))
}

/** Multiplies all gradients. */
export function scaleGradients(parameters: Iterable<torch.Tensor>, factor: number): void {
  torch.noGrad(() => torch.scope(() => foreachMulScalar([...parameters].map(gradientOf), factor)))
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    groups.set(key, [...(groups.get(key) ?? []), item])
  }
  return [...groups.values()]
}

function withMoments(
  parameters: readonly torch.Tensor[],
): Pick<Group, "parameters" | "firstMoments" | "secondMoments"> {
  const zeros = () => parameters.map((p) => torch.zeros(p.shape, { dtype: p.dtype, device: p.device }))
  return { parameters, firstMoments: zeros(), secondMoments: zeros() }
}

function copyInto(target: torch.Tensor, values: Float32Array): void {
  torch.noGrad(() =>
    torch.scope(() => {
      target.copy_(torch.tensor(values, target.shape))
    }),
  )
}

function gradientOf(parameter: torch.Tensor): torch.Tensor {
  const { grad } = parameter
  if (!grad) throw new Error(`a parameter of shape [${parameter.shape}] got no gradient`)
  return grad
}

// ------------------------------------------------------------------------------- one call for a list of tensors

type Tensors = readonly torch.Tensor[]
const foreachMulScalar = torch.operator<[self: Tensors, factor: number], void>("_foreach_mul_.Scalar")
const foreachNorm = torch.operator<[tensors: Tensors, order: number], torch.Tensor[]>("_foreach_norm.Scalar")
