/**
 * A training run on disk: `checkpoints/` (to resume from), `metrics.jsonl` (a line per step and per evaluation),
 * `tensorboard/`, and at the end `model.safetensors` (without the optimiser; the average where the run keeps one).
 * Resuming continues all of them where the state stands.
 */
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../core/errors.ts"
import { safetensorsChunks } from "../core/safetensors.ts"
import type { ModelConfig } from "../core/variants.ts"
import type { Batch } from "../data/training/batch.ts"
import { makeDirectory, writeAtomically } from "../host/files.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../model/checkpoint.ts"
import { latestCheckpoint, readCheckpoint, saveCheckpoint } from "../train/checkpoints.ts"
import { type EvaluationEntry, isStep, type LogEntry, type StepEntry, totalLoss } from "../train/log/entries.ts"
import { Live, liveText } from "../train/log/live.ts"
import { MetricsLog } from "../train/log/metrics.ts"
import { EventFile } from "../train/log/tensorboard/writer.ts"
import { type Settings, type TrainingState, trainedModel } from "../train/state.ts"
import { type LiveModel, settingsOf, type TrainConfig, type TrainIo, train } from "../train/train.ts"
import type { Progress, StartProgress } from "./progress.ts"

/** Zero-shot results by task, 0 to 1. */
export type Scores = Readonly<Record<string, number>>

export interface TrainingRun {
  readonly directory: string
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  /** Batches from this step on. */
  readonly batches: (firstStep: number) => Iterable<Batch> | AsyncIterable<Batch>
  /** Scores of the model as it is, every `config.evaluateEvery` steps. */
  readonly evaluate?: (live: LiveModel) => Promise<Scores>
  /** Weights to start from. */
  readonly start?: TrainIo["start"]
  /** Checkpoints that are kept; the default is 1. */
  readonly keep?: number
  /** What to do with a run that the directory already holds, and, for `require`, without one. */
  readonly existing: "refuse" | "require" | "continue"
  /** Of the progress line. */
  readonly name?: string
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface TrainingResult {
  readonly state: TrainingState
  /** One per step, of an earlier part as well. */
  readonly steps: readonly StepEntry[]
  readonly evaluations: readonly EvaluationEntry[]
  readonly checkpoint: string
  /** Of the whole run. */
  readonly samplesPerSecond: number
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

/** Throws the signal's reason when it was stopped before the last step; the state is saved then. */
export async function runTraining(run: TrainingRun): Promise<TrainingResult> {
  const { directory, info, config, signal } = run
  const resume = await existingState(run)
  if (resume) checkSameRun(resume, directory, info, settingsOf(config))
  await makeDirectory(directory)
  await using log = await RunLog.open(run, resume?.step ?? 0)
  const state = await train(info, config, {
    batches: run.batches,
    save: (current) => save(run, current, log),
    ...(run.evaluate && { evaluate: async (live) => log.evaluated(live, await run.evaluate!(live)) }),
    ...(run.start && { start: run.start }),
    resume,
    signal,
    onStep: (report) => log.stepped(report),
  })
  signal.throwIfAborted()
  const steps = log.entries.filter(isStep)
  if (steps.length === 0)
    throw new UserError(`${join(directory, "metrics.jsonl")} is missing`, "delete the directory to train again")
  log.done()
  return {
    state,
    steps,
    evaluations: log.entries.filter((entry): entry is EvaluationEntry => !isStep(entry)),
    checkpoint: await writeModel(directory, state),
    earlierSeconds: secondsOf(log.earlier.filter(isStep)),
    samplesPerSecond: (steps.length * config.batchSize) / secondsOf(steps),
  }
}

// ---------------------------------------------------------------------------------------------------------- log

/** What a run says, to all who listen. */
class RunLog {
  readonly entries: LogEntry[]
  private readonly live = new Live()

  private constructor(
    private readonly metrics: MetricsLog,
    private readonly events: EventFile,
    private readonly progress: Progress,
  ) {
    this.entries = [...metrics.earlier]
  }

  static async open({ directory, config, name = "train", startProgress }: TrainingRun, resumeStep: number) {
    const metrics = await MetricsLog.open(join(directory, "metrics.jsonl"), { resumeStep })
    const events = await EventFile.open(join(directory, "tensorboard"), { resumeStep })
    return new RunLog(metrics, events, startProgress(name, config.steps * config.batchSize, { unit: "samples" }))
  }

  get earlier(): readonly LogEntry[] {
    return this.metrics.earlier
  }

  stepped(entry: StepEntry): void {
    this.add(entry)
    this.progress.update(entry.samplesSeen, liveText(this.live.update(entry)))
  }

  evaluated({ step, samplesSeen }: LiveModel, tasks: Scores): void {
    const scores = Object.values(tasks)
    this.add({ step, samplesSeen, tasks, average: scores.reduce((sum, score) => sum + score, 0) / scores.length })
  }

  /** Everything so far is in the files. */
  flush(): void {
    this.metrics.flush()
  }

  done(): void {
    const last = this.entries.findLast(isStep)
    this.progress.done(last && `loss ${totalLoss(last).toFixed(3)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.metrics.close()
    this.events.close()
  }

  private add(entry: LogEntry): void {
    this.entries.push(entry)
    this.metrics.add(entry)
    this.events.add(entry)
  }
}

// -------------------------------------------------------------------------------------------------------- state

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

/** The log goes first: lines behind the checkpoint that is resumed are dropped then, missing ones would not come back. */
async function save({ directory, keep = 1 }: TrainingRun, state: TrainingState, log: RunLog): Promise<void> {
  log.flush()
  await saveCheckpoint(directory, state, keep)
}

function secondsOf(steps: readonly StepEntry[]): number {
  return steps.reduce((sum, { seconds }) => sum + seconds, 0)
}

async function writeModel(directory: string, state: TrainingState): Promise<string> {
  const path = join(directory, "model.safetensors")
  await writeAtomically(path, safetensorsChunks(checkpointTensors(trainedModel(state)), checkpointMetadata(state.info)))
  return path
}
