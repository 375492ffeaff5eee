/**
 * The state of a training run as one value, and as a file: a checkpoint that also holds the optimiser, the average and the
 * generator, so that a run can be resumed from it, and it can be exported like any other. The position in the data is the step.
 */
import { z } from "zod"
import { type SafetensorsFile, safetensorsChunks, type TensorToWrite } from "../../core/containers/safetensors.ts"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { jsonOrNull } from "../../core/json.ts"
import {
  averagePrefix,
  buildModel,
  type CheckpointInfo,
  type CheckpointModel,
  checkpointMetadata,
  checkpointTensors,
  loadAnyCheckpoint,
  optimizerPrefix,
} from "../../model/checkpoint/checkpoint.ts"
import type { LossScalerState } from "../optimizer/loss-scaler.ts"
import type { RangeState } from "../range-augment.ts"

/** First and second moment of a parameter, row-major. */
export interface Moments {
  readonly first: Float32Array
  readonly second: Float32Array
}

/** Numbers and names that distinguish a run from another. */
export type Settings = Readonly<Record<string, string | number>>

export interface TrainingState {
  readonly info: CheckpointInfo<ModelConfig>
  /** Steps made. */
  readonly step: number
  /** Updates made: fewer than steps where float16 training left some out. */
  readonly updates: number
  readonly settings: Settings
  /** Parameters and buffers by path in our module tree. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  /** By path of the parameter; frozen parameters have none. */
  readonly moments: ReadonlyMap<string, Moments>
  /** The average of parameters and buffers, where the run keeps one. */
  readonly ema?: ReadonlyMap<string, Float32Array>
  readonly lossScaler?: LossScalerState
  readonly rangeAugment?: RangeState
  /** libtorch's generator. */
  readonly generator: Uint8Array
}

/** Points the model's parameters at the values. Throws UserError when they belong to another model. */
export function loadTensors(model: CheckpointModel, tensors: ReadonlyMap<string, Float32Array>): void {
  for (const [path, parameter] of model.namedParameters()) {
    const values = tensors.get(path)
    if (values?.length !== parameter.size) {
      throw new UserError(
        `the training state to resume has no tensor "${path}" of shape [${parameter.shape}]`,
        "resume with the model the run was started with",
      )
    }
    parameter.source = () => values
  }
}

/** The file of a model alone, in chunks. Throws when the tensors are of another model. */
export function modelChunks(
  info: CheckpointInfo<ModelConfig>,
  tensors: ReadonlyMap<string, Float32Array>,
): Iterable<Uint8Array> {
  const model = buildModel(info.config)
  loadTensors(model, tensors)
  return safetensorsChunks(checkpointTensors(model), checkpointMetadata(info))
}

/** The file of a state, in chunks. */
export function trainingStateChunks(state: TrainingState): Iterable<Uint8Array> {
  const { info, generator } = state
  const model = buildModel(info.config)
  loadTensors(model, state.tensors)
  const { step, updates, settings, lossScaler, rangeAugment } = state
  const text = Buffer.from(generator).toString("base64")
  const training = { step, updates, settings, lossScaler, rangeAugment, generator: text }
  const metadata = { ...checkpointMetadata(info), training: JSON.stringify(training) }
  const tensors = [...checkpointTensors(model), ...momentTensors(state.moments), ...averageTensors(state.ema)]
  return safetensorsChunks(tensors, metadata)
}

/** Reads what `trainingStateChunks` wrote. Throws UserError when there is no training state in the file. */
export function readTrainingState(file: SafetensorsFile, source: string): TrainingState {
  const { info, model } = loadAnyCheckpoint(file, source)
  const { step, updates, settings, lossScaler, rangeAugment, generator } = parseTraining(file.metadata.training, source)
  const names = [...file.tensors.keys()]
  const paths = (prefix: string) =>
    names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  const average = paths(averagePrefix).map((path) => [path, file.readFloat32(`${averagePrefix}${path}`)] as const)
  return {
    info,
    step,
    updates: updates ?? step,
    settings,
    tensors: new Map([...model.namedParameters()].map(([path, parameter]) => [path, parameter.read()])),
    moments: new Map(
      paths(`${optimizerPrefix}first.`).map((path) => [
        path,
        { first: file.readFloat32(key("first", path)), second: file.readFloat32(key("second", path)) },
      ]),
    ),
    ...(average.length > 0 && { ema: new Map(average) }),
    ...(lossScaler && { lossScaler }),
    ...(rangeAugment && { rangeAugment }),
    generator: Uint8Array.from(Buffer.from(generator, "base64")),
  }
}

const six = z.array(z.number()).length(6)

const trainingSchema = z.object({
  step: z.number().int().nonnegative(),
  updates: z.number().int().nonnegative().optional(),
  settings: z.record(z.string(), z.union([z.string(), z.number()])),
  lossScaler: z.object({ scale: z.number().positive(), goodSteps: z.number().int().nonnegative() }).optional(),
  rangeAugment: z.object({ ends: six, first: six, second: six, updates: z.number().int().nonnegative() }).optional(),
  generator: z.string().default(""),
})

function parseTraining(text: string | undefined, source: string) {
  const parsed = trainingSchema.safeParse(jsonOrNull(text ?? ""))
  if (parsed.success) return parsed.data
  throw new UserError(
    `${source} has no training state in it, or a damaged one`,
    "resume from a checkpoint that `mobileclip train` wrote",
  )
}

function momentTensors(moments: TrainingState["moments"]): TensorToWrite[] {
  return [...moments].flatMap(([path, { first, second }]) => [
    { name: key("first", path), dtype: "F32", shape: [first.length], read: () => first } as const,
    { name: key("second", path), dtype: "F32", shape: [second.length], read: () => second } as const,
  ])
}

function averageTensors(ema: TrainingState["ema"] = new Map()): TensorToWrite[] {
  return [...ema].map(([path, values]) => ({
    name: `${averagePrefix}${path}`,
    dtype: "F32" as const,
    shape: [values.length],
    read: () => values,
  }))
}

function key(moment: "first" | "second", path: string): string {
  return `${optimizerPrefix}${moment}.${path}`
}
