/**
 * A training run on disk: `checkpoints/` (to resume from), `model.safetensors` (without the optimiser; the average where
 * the run keeps one) and `log.jsonl` (a line per step). Resuming continues the log where the state stands.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../core/errors.ts"
import { safetensorsChunks } from "../core/safetensors.ts"
import type { ModelConfig } from "../core/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { readBytes, writeAtomically } from "../host/files.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../model/checkpoint.ts"
import { latestCheckpoint, readCheckpoint, saveCheckpoint } from "../train/checkpoints.ts"
import { type Settings, type TrainingState, trainedModel } from "../train/state.ts"
import { type LiveModel, type StepReport, settingsOf, type TrainConfig, train } from "../train/train.ts"
import type { StartProgress } from "./progress.ts"

export interface TrainingRun {
  readonly directory: string
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  /** Batches from this step on. */
  readonly batches: (firstStep: number) => Iterable<Batch> | AsyncIterable<Batch>
  readonly evaluate?: (live: LiveModel) => Promise<void>
  /** Checkpoints that are kept; the default is 1. */
  readonly keep?: number
  /** Of the progress line. */
  readonly name?: string
  /** What to do with a run that the directory already holds, and, for `require`, without one. */
  readonly existing: "refuse" | "require" | "continue"
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface TrainingResult {
  readonly state: TrainingState
  /** One per step, of an earlier part as well. */
  readonly log: readonly StepReport[]
  readonly checkpoint: string
  /** Of the whole run. */
  readonly samplesPerSecond: number
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

/** Throws the signal's reason when it was stopped before the last step; the state is saved then. */
export async function runTraining(run: TrainingRun): Promise<TrainingResult> {
  const { directory, info, config, signal, evaluate } = run
  const resume = await existingState(run)
  if (resume) checkSameRun(resume, directory, info, settingsOf(config))
  const log = resume ? await readLog(join(directory, "log.jsonl"), resume.step) : []
  const earlierSeconds = secondsOf(log)
  const progress = run.startProgress(run.name ?? "train", config.steps * config.batchSize, { unit: "samples" })
  const state = await train(info, config, {
    batches: run.batches,
    save: (current) => save(run, current, log),
    ...(evaluate && { evaluate }),
    resume,
    signal,
    onStep(report) {
      log.push(report)
      progress.update(report.samplesSeen, `loss ${report.loss.toFixed(3)}`)
    },
  })
  signal.throwIfAborted()
  const last = log.at(-1)
  if (!last) throw new UserError(`${join(directory, "log.jsonl")} is missing`, "delete the directory to train again")
  progress.done(`loss ${last.loss.toFixed(3)}`)
  const checkpoint = await writeModel(directory, state)
  return { state, log, checkpoint, earlierSeconds, samplesPerSecond: (log.length * config.batchSize) / secondsOf(log) }
}

async function existingState({ directory, existing }: TrainingRun): Promise<TrainingState | undefined> {
  const path = await latestCheckpoint(directory)
  if (path) {
    if (existing !== "refuse") return readCheckpoint(path)
    throw new UserError(
      `${directory} holds a training run already`,
      "go on with it (--resume), or choose another directory",
    )
  }
  if (existing !== "require") return undefined
  throw new UserError(
    `there is no run to resume in ${directory}: it has no checkpoints`,
    "leave out --resume to start one",
  )
}

function checkSameRun(
  state: TrainingState,
  directory: string,
  info: CheckpointInfo<ModelConfig>,
  settings: Settings,
): void {
  const names = [...new Set([...Object.keys(state.settings), ...Object.keys(settings)])]
  const differences = names
    .filter((name) => state.settings[name] !== settings[name])
    .map((name) => `${name} ${state.settings[name]} (now ${settings[name]})`)
  if (!isDeepStrictEqual(state.info.config, info.config))
    differences.unshift(`model ${state.info.name} (now ${info.name})`)
  if (differences.length === 0) return
  throw new UserError(
    `the run in ${directory} was made with ${differences.join(", ")}`,
    "go on with its own options, or choose another directory",
  )
}

/** The state goes first: without it the log is of no use, and without its last lines the run can be resumed all the same. */
async function save(
  { directory, keep = 1 }: TrainingRun,
  state: TrainingState,
  log: readonly StepReport[],
): Promise<void> {
  const lines = log.slice(0, state.step).map(jsonLine)
  await saveCheckpoint(directory, state, keep)
  await writeAtomically(join(directory, "log.jsonl"), lines)
}

async function readLog(path: string, step: number): Promise<StepReport[]> {
  if (!existsSync(path)) return []
  const lines = new TextDecoder()
    .decode(await readBytes(path))
    .split("\n")
    .filter(Boolean)
  return lines.map((line) => JSON.parse(line) as StepReport).filter((entry) => entry.step <= step)
}

function secondsOf(log: readonly StepReport[]): number {
  return log.reduce((sum, { seconds }) => sum + seconds, 0)
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

async function writeModel(directory: string, state: TrainingState): Promise<string> {
  const path = join(directory, "model.safetensors")
  await writeAtomically(path, safetensorsChunks(checkpointTensors(trainedModel(state)), checkpointMetadata(state.info)))
  return path
}
