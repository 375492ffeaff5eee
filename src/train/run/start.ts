/** The weights that a run starts from, for the model that is trained. */
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { buildModel, type CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { initialize } from "../../model/module.ts"
import type { StartModel } from "../../weights/start-model.ts"

interface Start {
  /** Values of all parameters and buffers, by path. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  /** The licence of the weights, which the trained model inherits. */
  readonly license: string
}

/**
 * @param path what the weights were named with, for messages
 * @param seed initialises what the file does not have: SigLIP's bias
 * @throws UserError where the file holds another architecture, or one with other preprocessing
 */
export function startFrom(path: string, start: StartModel, info: CheckpointInfo<ModelConfig>, seed: number): Start {
  checkSame(path, info, start)
  const model = buildModel(info.config)
  initialize(model, seed)
  const tensors = new Map(
    [...model.namedParameters()].map(([name, parameter]) => [name, start.tensors.get(name) ?? parameter.read()]),
  )
  return { tensors, license: start.info.license }
}

/** Biases may be missing, or be present and zero. */
function checkSame(path: string, info: CheckpointInfo<ModelConfig>, start: StartModel): void {
  const [wanted, found] = [described(info), described(start.info)]
  const names = [...new Set([...Object.keys(wanted), ...Object.keys(found)])]
  const different = names.filter((name) => !isDeepStrictEqual(wanted[name], found[name]))
  const known = buildModel(info.config).namedParameters()
  const lost = [...start.tensors].filter(([name, values]) => !known.has(name) && values.some((value) => value !== 0))
  const reasons = [...different, ...lost.map(([name]) => name)]
  if (reasons.length === 0) return
  throw new UserError(
    `${path} holds ${start.info.name}, which is another model than ${info.name}: they differ in ${reasons.join(", ")}`,
    "name the weights of the model that is trained, or set model to theirs",
  )
}

function described({ config, preprocessing }: CheckpointInfo<ModelConfig>): Record<string, unknown> {
  const { headBias: _, logitBias: __, ...rest } = { headBias: null, logitBias: null, ...config }
  return { ...rest, preprocessing }
}
