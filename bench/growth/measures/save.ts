/**
 * A checkpoint as a training run saves it: values are copied from libtorch's tensors, and a thread writes the file. An older
 * build sends copies to the thread, which copies them again.
 */
import { join } from "node:path"
import type { TrainingState } from "../../../src/train/checkpoints/state.ts"
import type { Tensor } from "../../../torch/index.ts"
import type { Build } from "../build.ts"
import type { Prepare } from "../row.ts"
import { infoOf, modelModule } from "./model.ts"

/** Copies the tensor of a path to the host. */
type Copy = (path: string, tensor: Tensor) => Float32Array

export const prepare: Prepare = async (build, { size: { given }, input }) => {
  const { checkpointWriter } = await build.load<typeof import("../../../src/train/checkpoints/checkpoint-writer.ts")>(
    "src/train/checkpoints/checkpoint-writer.js",
    "src/train/checkpoint-writer.js",
  )
  const torch = await build.load<typeof import("../../../torch/index.ts")>("torch/index.js")
  const { buildModel } = await modelModule(build)
  const info = infoOf(given.words!)
  const parameters = [...buildModel(info.config).namedParameters()]
  // Whole numbers, because counters are among them.
  const tensors = parameters.map(([path, { size, shape }]) => {
    return [path, torch.tensor(new Float32Array(size).fill(1), shape)] as const
  })
  const copyOf = await copies(build)
  return async () => {
    await using writer = checkpointWriter()
    await writer.ask({ directory: join(input, "run"), state: stateOf(info, tensors, copyOf), keep: 1 })
    return undefined
  }
}

async function copies(build: Build): Promise<(kind: string) => Copy> {
  const path = "src/train/checkpoints/shared-copies.js"
  if (build.has(path)) {
    const { SharedCopies } = await build.load<{ SharedCopies: new () => { of(kind: string): Copy } }>(path)
    const shared = new SharedCopies()
    return (kind) => shared.of(kind)
  }
  const { hostValues } = await build.load<typeof import("../../../src/tensor/torch.ts")>("src/tensor/torch.js")
  return () => (_, tensor) => hostValues(tensor)
}

/** Moments are as large as the tensors, and stand for them. */
function stateOf(
  info: TrainingState["info"],
  values: readonly (readonly [string, Tensor])[],
  copyOf: (kind: string) => Copy,
): TrainingState {
  const [weights, optimizer] = [copyOf("weights"), copyOf("optimizer")]
  const tensors = new Map(values.map(([path, tensor]) => [path, weights(path, tensor)]))
  const moments = new Map(
    values.map(([path, tensor]) => {
      return [path, { first: optimizer(`first.${path}`, tensor), second: optimizer(`second.${path}`, tensor) }]
    }),
  )
  return { info, step: 1, updates: 1, settings: {}, tensors, moments, generator: new Uint8Array(8) }
}
