/** A checkpoint written while training would go on, from the call to the file. */
import { join } from "node:path"
import type { TrainingState } from "../../../src/train/checkpoints/state.ts"
import type { Prepare } from "../row.ts"
import { infoOf } from "./model.ts"

export const prepare: Prepare = async (build, { size: { given }, input }) => {
  const { checkpointWriter } = await build.load<typeof import("../../../src/train/checkpoints/checkpoint-writer.ts")>(
    "src/train/checkpoints/checkpoint-writer.js",
    "src/train/checkpoint-writer.js",
  )
  const { buildModel } = await build.load<typeof import("../../../src/model/checkpoint/checkpoint.ts")>(
    "src/model/checkpoint/checkpoint.js",
    "src/model/checkpoint.js",
  )
  const info = infoOf(given.words!)
  const tensors = new Map<string, Float32Array>()
  for (const [path, { size }] of buildModel(info.config).namedParameters()) tensors.set(path, filled(size))
  const state = stateOf(info, tensors)
  return async () => {
    const writer = checkpointWriter()
    await writer.ask({ directory: join(input, "run"), state, keep: 1 })
    await writer[Symbol.asyncDispose]()
    return undefined
  }
}

/** Values take memory when they are written, and not before; whole numbers, because counters are among them. */
function filled(size: number): Float32Array {
  return new Float32Array(size).fill(1)
}

function stateOf(info: TrainingState["info"], tensors: ReadonlyMap<string, Float32Array>): TrainingState {
  const moments = new Map(
    [...tensors].map(([path, { length }]) => [path, { first: filled(length), second: filled(length) }]),
  )
  return { info, step: 1, updates: 1, settings: {}, tensors, moments, generator: new Uint8Array(8) }
}
