/** Batch norm in libtorch: one alone, or sums of several that share the statistics of an input. */
import * as torch from "../../torch/index.ts"
import type { Parameter } from "./parameter.ts"
import type { BatchNormParameters, NormTerm, Tensor } from "./tensor.ts"

/** What norms need of the interpreter in torch.ts. */
interface NormInterpreter {
  readonly device: torch.Device
  readonly dtype: torch.DType
  readonly batchNorm: typeof torch.batchNorm
  /** Whether running statistics are updated. */
  readonly trackStatistics: boolean
  usesBatchStatistics(weight: Parameter): boolean
  unwrap(tensor: Tensor): torch.Tensor
  value(parameter: Parameter): torch.Tensor
}

/** [N, C, ...] -> the same shape. */
export function batchNorm(interpreter: NormInterpreter, input: Tensor, norm: BatchNormParameters): torch.Tensor {
  const term = { input, norm }
  const value = interpreter.unwrap(input)
  if (canShareStatistics(interpreter, value, [term])) return sumOfNorms(interpreter, null, [term])
  const training = interpreter.usesBatchStatistics(norm.weight)
  const tracked = !training || interpreter.trackStatistics
  if (training && tracked) count(interpreter, norm)
  const { eps, momentum } = norm
  return interpreter.batchNorm(value, { ...statistics(interpreter, norm, tracked), training, momentum, eps })
}

/** `base` (0 where it is null) plus `factor` times the sum of the norms of `terms`, which `canShareStatistics` allows. */
export function sumOfNorms(
  interpreter: NormInterpreter,
  base: torch.Tensor | null,
  terms: readonly NormTerm[],
  factor?: Parameter,
): torch.Tensor {
  const tracked = interpreter.trackStatistics
  if (tracked) for (const { norm } of terms) count(interpreter, norm)
  const values = terms.map(({ input, scale, norm, sign = 1 }) => ({
    input: interpreter.unwrap(input),
    scale: scale && interpreter.value(scale),
    ...statistics(interpreter, norm, tracked),
    sign,
  }))
  const { eps, momentum } = terms[0]!.norm
  return torch.addNorms(base, values, { factor: factor && interpreter.value(factor), eps, momentum })
}

/** In training, in one dtype, on the processor, with norms of one kind that are not replaced. */
export function canShareStatistics(
  interpreter: NormInterpreter,
  base: torch.Tensor,
  terms: readonly NormTerm[],
): boolean {
  const { dtype } = interpreter
  const { eps, momentum } = terms[0]!.norm
  return (
    interpreter.device === "cpu" &&
    interpreter.batchNorm === torch.batchNorm &&
    base.dtype === dtype &&
    terms.every(
      ({ input, norm }) =>
        interpreter.usesBatchStatistics(norm.weight) &&
        interpreter.unwrap(input).dtype === dtype &&
        norm.eps === eps &&
        norm.momentum === momentum,
    )
  )
}

function count(interpreter: NormInterpreter, { numBatchesTracked }: BatchNormParameters): void {
  torch.noGrad(() => interpreter.value(numBatchesTracked).add_(1))
}

function statistics(interpreter: NormInterpreter, norm: BatchNormParameters, tracked: boolean) {
  return {
    weight: interpreter.value(norm.weight),
    bias: interpreter.value(norm.bias),
    runningMean: tracked ? interpreter.value(norm.runningMean) : null,
    runningVar: tracked ? interpreter.value(norm.runningVar) : null,
  }
}
