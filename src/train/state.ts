/**
 * The state of a training run as one value, and as a file: a checkpoint that has the optimiser in it as well, so it can
 * be resumed, exported and classified with.
 */

import { z } from "zod"
import { UserError } from "../core/errors.ts"
import { type SafetensorsFile, safetensorsChunks, type TensorToWrite } from "../core/safetensors.ts"
import {
  type CheckpointInfo,
  checkpointMetadata,
  checkpointTensors,
  loadCheckpoint,
  optimizerPrefix,
} from "../model/checkpoint.ts"
import { Clip } from "../model/clip.ts"

/** First and second moment of a parameter, row-major. */
export interface Moments {
  readonly first: Float32Array
  readonly second: Float32Array
}

/** Numbers and names by which a run can be told from another. */
export type Settings = Readonly<Record<string, string | number>>

export interface TrainingState {
  readonly info: CheckpointInfo
  /** Updates made. */
  readonly step: number
  readonly settings: Settings
  /** Parameters and buffers by path in our module tree. */
  readonly tensors: ReadonlyMap<string, Float32Array>
  /** By path of the parameter. */
  readonly moments: ReadonlyMap<string, Moments>
}

/** Points the model's parameters at the state's values. Throws when the state is of another model. */
export function loadTrainingState(model: Clip, state: TrainingState): void {
  for (const [path, parameter] of model.namedParameters()) {
    const values = state.tensors.get(path)
    if (values?.length !== parameter.size) {
      throw new UserError(
        `the training state to resume has no tensor "${path}" of shape [${parameter.shape}]`,
        "resume with the model the run was started with",
      )
    }
    parameter.source = () => values
  }
}

/** The file, in chunks. */
export function trainingStateChunks(state: TrainingState): Iterable<Uint8Array> {
  const model = new Clip(state.info.config)
  loadTrainingState(model, state)
  const metadata = {
    ...checkpointMetadata(state.info),
    training: JSON.stringify({ step: state.step, settings: state.settings }),
  }
  return safetensorsChunks([...checkpointTensors(model), ...momentTensors(state.moments)], metadata)
}

/** Reads what `trainingStateChunks` wrote. Throws UserError when there is no training state in the file. */
export function readTrainingState(file: SafetensorsFile, source: string): TrainingState {
  const { info, model } = loadCheckpoint(file, source)
  const { step, settings } = parseTraining(file.metadata.training, source)
  const trained = [...model.namedParameters()].filter(([, { role }]) => role === "parameter")
  return {
    info,
    step,
    settings,
    tensors: new Map([...model.namedParameters()].map(([path, parameter]) => [path, parameter.read()])),
    moments: new Map(
      trained.map(([path]) => [
        path,
        { first: file.readFloat32(key("first", path)), second: file.readFloat32(key("second", path)) },
      ]),
    ),
  }
}

const trainingSchema = z.object({
  step: z.number().int().nonnegative(),
  settings: z.record(z.string(), z.union([z.string(), z.number()])),
})

function parseTraining(text: string | undefined, source: string) {
  const parsed = trainingSchema.safeParse(parseJson(text))
  if (parsed.success) return parsed.data
  throw new UserError(
    `${source} has no training state in it, or a damaged one`,
    "resume from a latest.safetensors that `mobileclip train` wrote",
  )
}

function parseJson(text = "null"): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function momentTensors(moments: TrainingState["moments"]): TensorToWrite[] {
  return [...moments].flatMap(([path, { first, second }]) => [
    { name: key("first", path), dtype: "F32", shape: [first.length], read: () => first } as const,
    { name: key("second", path), dtype: "F32", shape: [second.length], read: () => second } as const,
  ])
}

function key(moment: "first" | "second", path: string): string {
  return `${optimizerPrefix}${moment}.${path}`
}
