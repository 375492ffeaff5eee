/**
 * A training run in its folder: `checkpoints/` (to resume from), `metrics.jsonl` (a line per step and per evaluation),
 * `tensorboard/`, and at the end `model.safetensors` (without the optimiser; the average where the run keeps one).
 * A run that is resumed continues all of them from the step of its checkpoint.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import type { Progress, StartProgress } from "../../core/progress.ts"
import { Tokenizer } from "../../core/text/tokenizer.ts"
import type { Batch } from "../../data/training/batch.ts"
import type { BadTally } from "../../data/training/training-data.ts"
import type { Scores } from "../../evaluate/task-list.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { checkpointWriter } from "../checkpoints/checkpoint-writer.ts"
import { cleanRun } from "../checkpoints/folder.ts"
import { modelChunks, type TrainingState } from "../checkpoints/state.ts"
import { isFirstRank, type ProcessGroup } from "../distributed/process-group.ts"
import { type EvaluationEntry, isStep, type StepEntry, secondsOf, totalLoss } from "../log/entries.ts"
import { readMetrics } from "../log/metrics.ts"
import { RunLog, type RunReport } from "../log/run-log.ts"
import { statusText } from "../log/status-line.ts"
import { type LiveModel, type TrainIo, train } from "../train.ts"
import { beginRun, checkSameRun, existingState, type ResumableRun } from "./resume.ts"

export interface TrainingRun extends ResumableRun {
  /** Whether the caller holds the directory's lock. */
  readonly isLocked?: boolean
  /** Batches from this step on. */
  readonly batches: (firstStep: number) => Iterable<Batch> | AsyncIterable<Batch>
  /** Scores the model as it is, every `config.evaluateEvery` steps; `earlier` are the evaluations before. */
  readonly evaluate?: (live: LiveModel, earlier: readonly EvaluationEntry[]) => Promise<Scores>
  /** Whether the run ends early. It is asked after each evaluation, and gets all evaluations so far. */
  readonly isEnough?: (evaluations: readonly EvaluationEntry[]) => boolean
  /** Weights to start from. */
  readonly start?: TrainIo["start"]
  /** How many checkpoints are kept; the default is 1. */
  readonly keep?: number
  /** Label of the progress line. */
  readonly name?: string
  /** Called before anything is computed, when the directory belongs to this run. */
  readonly prepare?: () => Promise<void>
  /** Steps that share a line of the metrics. */
  readonly logEvery?: number
  readonly group?: ProcessGroup
  /** Samples that could not be used. */
  readonly bad?: BadTally
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface TrainingResult {
  readonly info: CheckpointInfo<ModelConfig>
  readonly step: number
  /** One entry per step, or for the means of several (`readMetrics`), including the steps before the run was resumed. */
  readonly steps: readonly StepEntry[]
  readonly evaluations: readonly EvaluationEntry[]
  readonly checkpoint: string
  /** The mean over the whole run. */
  readonly samplesPerSecond: number
  /** The step that this process went on from; 0: it began the run. That of a finished run is its last one. */
  readonly resumedAt: number
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

/** Trains, or goes on. Throws the signal's reason when the run was stopped before the last step; then its state is saved. */
export async function runTraining(run: TrainingRun): Promise<TrainingResult> {
  const { directory, config, signal } = run
  using _ = run.isLocked ? null : await lockFolder(directory, "mobileclip, training a model", signal)
  const resumption = await existingState(run)
  // The licence is that of the weights the run started from, which a resumed run has in its state only.
  const info = resumption ? { ...run.info, license: resumption.info.license } : run.info
  if (resumption) checkSameRun(resumption, run, info)
  await makeDirectory(directory)
  await cleanRun(directory)
  await beginRun(directory)
  await run.prepare?.()
  await using writer = checkpointWriter()
  const log = await RunLog.open(directory, { resumeStep: resumption?.step ?? 0, memory, every: run.logEvery ?? 1 })
  const progress = run.startProgress(run.name ?? "train", config.steps * config.batchSize, {
    unit: "samples",
    ...(resumption && { from: resumption.step * config.batchSize }),
  })
  try {
    const state = await train(info, config, {
      batches: (firstStep) => keepingSamples(run, log, firstStep),
      save: (current) => save(run, current, log, writer),
      ...(run.evaluate && { evaluate: (live) => evaluate(run, log, live) }),
      ...(run.start && { start: run.start }),
      ...(run.group && { group: run.group }),
      tally: run.bad,
      resume: resumption?.take,
      signal,
      onStep: (report) => progress.update(report.samplesSeen, statusText(log.step(report))),
    })
    if (run.report && isFirstRank(run.group))
      await writeReport(run.report, run, log, state.step > (resumption?.step ?? 0))
    signal.throwIfAborted()
    return await resultOf(run, state, resumption?.step ?? 0, progress)
  } finally {
    log.close()
  }
}

/** The part of a process that is not the first of its group: it computes, and writes nothing. */
export async function joinTraining(run: TrainingRun): Promise<void> {
  const { info, config, signal } = run
  const resumption = await existingState(run)
  await train(info, config, {
    batches: run.batches,
    save() {},
    ...(run.start && { start: run.start }),
    ...(run.group && { group: run.group }),
    tally: run.bad,
    resume: resumption?.take,
    signal,
  })
  signal.throwIfAborted()
}

async function resultOf(run: TrainingRun, state: TrainingState, resumed: number, progress: Progress) {
  const { directory, config } = run
  const entries = await readMetrics(join(directory, "metrics.jsonl"))
  const steps = entries.filter(isStep)
  if (steps.length === 0)
    throw new UserError(`${join(directory, "metrics.jsonl")} is missing`, "delete the directory to train again")
  progress.done(`loss ${totalLoss(steps.at(-1)!).toFixed(3)}`)
  return {
    info: state.info,
    step: state.step,
    steps,
    evaluations: entries.filter((entry): entry is EvaluationEntry => !isStep(entry)),
    checkpoint: await writeModel(directory, state),
    resumedAt: resumed,
    earlierSeconds: secondsOf(steps.filter(({ step }) => step <= resumed)),
    samplesPerSecond: (steps.at(-1)!.step * config.batchSize) / secondsOf(steps),
  } satisfies TrainingResult
}

/** A run that was finished before has its page, with pictures of batches that are not made again. */
async function writeReport(
  report: RunReport,
  { bad, directory }: TrainingRun,
  log: RunLog,
  isMade: boolean,
): Promise<void> {
  if (isMade || !existsSync(join(directory, "report.html"))) await log.writeReport(withBadSamples(report, bad))
}

function withBadSamples(report: RunReport, bad: BadTally | undefined): RunReport {
  return bad && bad.count > 0 ? { ...report, facts: [...report.facts, ["samples left out", badText(bad)]] } : report
}

/** "12: 10 damaged picture, 2 no caption" */
function badText({ count, reasons }: Pick<BadTally, "count" | "reasons">): string {
  return `${count}: ${[...reasons].map(([reason, times]) => `${times} ${reason}`).join(", ")}`
}

/** The batches. Some pictures of the first one are kept for the report. */
async function* keepingSamples(run: TrainingRun, log: RunLog, firstStep: number) {
  let step = firstStep
  for await (const batch of run.batches(firstStep)) {
    if (step === firstStep && run.report && isFirstRank(run.group)) {
      const { preprocessing, config } = run.info
      await log.seen(step, batch, {
        preprocessing,
        tokenizer: new Tokenizer(),
        contextLength: config.text.contextLength,
      })
    }
    yield batch
    step += 1
  }
}

async function evaluate(run: TrainingRun, log: RunLog, live: LiveModel): Promise<"stop" | undefined> {
  // A run that is resumed at a step of an evaluation has made it already, unless it was stopped just before.
  if (log.evaluations.at(-1)?.step !== live.step)
    log.evaluation(entryOf(live, await run.evaluate!(live, [...log.evaluations])))
  return run.isEnough?.(log.evaluations) ? "stop" : undefined
}

function entryOf({ step, samplesSeen }: LiveModel, tasks: Scores): EvaluationEntry {
  const scores = Object.values(tasks)
  return { step, samplesSeen, tasks, average: scores.reduce((sum, score) => sum + score, 0) / scores.length }
}

/** Bytes in use: those of the CUDA devices where there are any, else those of the process. */
function memory(): number {
  const devices = torch.memory().cuda ?? []
  return devices.length > 0 ? devices.reduce((sum, { reserved }) => sum + reserved, 0) : process.memoryUsage.rss()
}

/** The log is written first: on resuming, lines after the checkpoint are dropped, but missing ones could not be restored. */
async function save(
  { directory, keep = 1 }: TrainingRun,
  state: TrainingState,
  log: RunLog,
  writer: ReturnType<typeof checkpointWriter>,
): Promise<void> {
  log.flush()
  await writer.ask({ directory, state, keep })
}

async function writeModel(directory: string, state: TrainingState): Promise<string> {
  const path = join(directory, "model.safetensors")
  await writeAtomically(path, modelChunks(state.info, state.ema ?? state.tensors))
  return path
}
