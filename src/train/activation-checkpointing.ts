/**
 * A forward pass that keeps only the inputs of each of its steps. The backward pass repeats the steps one by one, the last one
 * first. A step takes several tensors and gives several, because later steps read some of them again.
 */
import * as torch from "../../torch/index.ts"
import type { TorchInterpreter } from "../tensor/torch.ts"

type Tensors = readonly torch.Tensor[]

/** Undefined where there is no gradient, or none is wanted. */
type Gradients = readonly (torch.Tensor | undefined)[]

export type Step = (inputs: Tensors) => Tensors

export interface Repeatable {
  /** Without gradients. */
  readonly outputs: Tensors
  /** Adds to the parameters' gradients; returns the gradients of the inputs where they are wanted. It can be called once. */
  backward(gradients: Gradients): Gradients
}

/** @param inputGradients whether the inputs' gradients are wanted */
export function checkpointed(
  interpreter: TorchInterpreter,
  steps: readonly Step[],
  inputs: Tensors,
  inputGradients = false,
): Repeatable {
  const states = [inputs]
  for (const step of steps) {
    const before = states.at(-1)!
    states.push(torch.noGrad(() => torch.scope(() => step(before))))
  }
  const outputs = states.pop()!
  const backward = (gradients: Gradients) => {
    let incoming = gradients
    for (let i = steps.length - 1; i >= 0; i--) {
      const wanted = i > 0 || inputGradients
      const outgoing = repeated(interpreter, () => backwardThrough(steps[i]!, states[i]!, incoming, wanted))
      // The steps below need neither of them: the gradients of at most two steps exist at a time.
      if (incoming !== gradients) free(incoming, outgoing)
      if (i > 0) free(states[i]!, [...states[i - 1]!, ...outputs])
      incoming = outgoing
    }
    return incoming
  }
  return { outputs, backward }
}

function backwardThrough(step: Step, inputs: Tensors, gradients: Gradients, wanted: boolean): Gradients {
  return torch.scope(() => {
    const leaves = inputs.map((input) => leafOf(input, wanted))
    const outputs = step(leaves)
    const pairs = outputs.flatMap((output, i) => {
      const gradient = gradients[i]
      return gradient && output.requiresGrad ? [{ output, gradient }] : []
    })
    backwardOf(pairs)
    return leaves.map((leaf) => leaf.grad ?? undefined)
  })
}

/** One backward pass for all outputs, because it frees the parts of the graph that they share. */
function backwardOf(pairs: readonly { readonly output: torch.Tensor; readonly gradient: torch.Tensor }[]): void {
  const [first, ...rest] = pairs
  if (!first) return
  if (rest.length === 0) first.output.backward(first.gradient)
  else
    pairs
      .map(({ output, gradient }) => output.mul(gradient).sum())
      .reduce((sum, part) => sum.add(part))
      .backward()
}

/** The tensor outside the graph it came from. Ids have no gradients. */
function leafOf(tensor: torch.Tensor, wanted: boolean): torch.Tensor {
  const leaf = tensor.detach()
  return wanted && leaf.dtype !== "int64" ? leaf.requiresGrad_() : leaf
}

/** Runs a repeated forward pass, which must not count the batch's statistics again. */
export function repeated<T>(interpreter: TorchInterpreter, fn: () => T): T {
  const before = interpreter.trackStatistics
  interpreter.trackStatistics = false
  try {
    return fn()
  } finally {
    interpreter.trackStatistics = before
  }
}

function free(tensors: Gradients, kept: Gradients): void {
  for (const tensor of tensors) if (tensor && !kept.includes(tensor)) tensor.free()
}
