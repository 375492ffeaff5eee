/** Batch norm whose statistics are those of all ranks' batches together. R ranks, C channels. */
import * as torch from "../../../torch/index.ts"
import type { ProcessGroup } from "./process-group.ts"

/**
 * The same as `torch.batchNorm` on the concatenated inputs of all ranks, in values, running statistics and gradients.
 *
 * @param input [N, C, ...]; N may differ between ranks
 */
export function syncBatchNorm(
  input: torch.Tensor,
  norm: torch.BatchNorm,
  group: Pick<ProcessGroup, "gatherWithGradient">,
): torch.Tensor {
  if (!norm.training) return torch.batchNorm(input, norm)
  const { weight, bias, eps } = norm
  // Statistics in low precision would drift.
  const x = isHalf(input) ? input.to({ dtype: "float32" }) : input
  const { mean, variance, count } = jointStatistics(x, group)
  torch.noGrad(() => torch.scope(() => track(norm, mean, variance, count)))
  const inverse = variance.add(eps).pow(-0.5)
  const scale = weight ? inverse.mul(weight) : inverse
  const shift = bias ? bias.sub(mean.mul(scale)) : mean.mul(scale).neg()
  const perChannel = [1, mean.shape[0]!, ...x.shape.slice(2).map(() => 1)]
  const y = x.mul(scale.reshape(perChannel)).add(shift.reshape(perChannel))
  return y.to({ dtype: input.dtype })
}

interface Statistics {
  /** [C] */
  readonly mean: torch.Tensor
  /** [C], biased */
  readonly variance: torch.Tensor
  /** [], values per channel */
  readonly count: torch.Tensor
}

/** From each rank's mean and variance, and the distance of its mean from the joint one. Without sums of squares nothing cancels. */
function jointStatistics(x: torch.Tensor, group: Pick<ProcessGroup, "gatherWithGradient">): Statistics {
  const channels = x.shape[1]!
  const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1)
  const [ownVariance, ownMean] = varMean(x, axes, false, false)
  const ownCount = torch.full([1], x.numel / channels, { dtype: x.dtype, device: x.device })
  const rows = group.gatherWithGradient(torch.cat([ownMean, ownVariance, ownCount]).unsqueeze(0), true)
  const [means, variances, counts] = [
    rows.narrow(1, 0, channels),
    rows.narrow(1, channels, channels),
    rows.narrow(1, 2 * channels, 1),
  ]
  const count = counts.sum()
  const shares = counts.div(count)
  const mean = means.mul(shares).sum([0])
  const apart = means.sub(mean)
  return { mean, variance: variances.add(apart.mul(apart)).mul(shares).sum([0]), count }
}

/** (1 - momentum) * running + momentum * batch, the variance unbiased, as `torch.batchNorm` does. */
function track(
  { runningMean, runningVar, momentum }: torch.BatchNorm,
  mean: torch.Tensor,
  variance: torch.Tensor,
  count: torch.Tensor,
): void {
  runningMean?.mul_(1 - momentum).add_(mean.mul(momentum))
  runningVar?.mul_(1 - momentum).add_(variance.mul(count).div(count.sub(1)).mul(momentum))
}

function isHalf({ dtype }: torch.Tensor): boolean {
  return dtype === "float16" || dtype === "bfloat16"
}

const varMean = torch.operator<
  [torch.Tensor, axes: readonly number[], unbiased: boolean, keepDims: boolean],
  [variance: torch.Tensor, mean: torch.Tensor]
>("var_mean.dim")
