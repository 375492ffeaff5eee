/**
 * A training run on disk: `checkpoints/` (to resume from), `metrics.jsonl` (a line per step and per evaluation),
 * `tensorboard/`, and at the end `model.safetensors` (without the optimiser; the average where the run keeps one).
 * Resuming continues all of them where the state stands.
 */
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import * as torch from "../../torch/index.ts"
import { safetensorsChunks } from "../core/containers/safetensors.ts"
import { UserError } from "../core/errors.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { Progress, StartProgress } from "../core/progress.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import type { Batch } from "../data/training/batch.ts"
import type { BadTally } from "../data/training/training-data.ts"
import { makeDirectory, writeAtomically } from "../host/files.ts"
import { lockFolder } from "../host/lock.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../model/checkpoint.ts"
import { checkpointWriter } from "./checkpoint-writer.ts"
import { cleanRun, latestCheckpoint, readCheckpoint } from "./checkpoints.ts"
import type { ProcessGroup } from "./distributed/process-group.ts"
import { type EvaluationEntry, isStep, type StepEntry, totalLoss } from "./log/entries.ts"
import { liveText } from "./log/live.ts"
import { readMetrics } from "./log/metrics.ts"
import { RunLog, type RunReport } from "./log/run-log.ts"
import { markRun, requireNewRun } from "./new-run.ts"
import { type Settings, type TrainingState, trainedModel } from "./state.ts"
import { type LiveModel, settingsOf, type TrainConfig, type TrainIo, train } from "./train.ts"

/** Zero-shot results by task, 0 to 1. */
export type Scores = Readonly<Record<string, number>>

export interface TrainingRun {
  readonly directory: string
  /** The caller holds the directory's lock. */
  readonly isLocked?: boolean
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  /** Batches from this step on. */
  readonly batches: (firstStep: number) => Iterable<Batch> | AsyncIterable<Batch>
  /** Scores of the model as it is, every `config.evaluateEvery` steps; `earlier` are the evaluations before. */
  readonly evaluate?: (live: LiveModel, earlier: readonly EvaluationEntry[]) => Promise<Scores>
  /** Whether the run ends early, asked behind each evaluation with all there were, this one included. */
  readonly isEnough?: (evaluations: readonly EvaluationEntry[]) => boolean
  /** Weights to start from. */
  readonly start?: TrainIo["start"]
  /** Checkpoints that are kept; the default is 1. */
  readonly keep?: number
  /** What to do with a run that the directory already holds, and, for `require`, without one. */
  readonly existing: "refuse" | "require" | "continue"
  /** The checkpoint to go on from; absent: the newest. */
  readonly resumeFrom?: string
  /** Names of files that are written in the directory beside those of every run; nobody else's of these names is replaced. */
  readonly files?: readonly string[]
  /** Whether it may go on with other data, or other teachers, than it was begun with; absent: nobody can ask for that. */
  readonly otherData?: boolean
  /** Of the progress line. */
  readonly name?: string
  /** Writes `report.html` at the end, or when the run stops. */
  readonly report?: RunReport
  /** Called when the directory is this run's, before anything is computed. */
  readonly prepare?: () => Promise<void>
  /** Gets a line about what is not as it was, and goes on all the same. */
  readonly note?: (line: string) => void
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
  const { directory, config, signal } = run
  using _ = run.isLocked ? null : await lockFolder(directory, "mobileclip, training a model", signal)
  const resumption = await existingState(run)
  // What the weights were begun with has its licence, which only the state knows when it goes on.
  const info = resumption ? { ...run.info, license: resumption.info.license } : run.info
  if (resumption) {
    checkSameRun(resumption, run, info)
    noteRanks(resumption, settingsOf(config), run)
    noteData(resumption, settingsOf(config), run)
  }
  await makeDirectory(directory)
  await cleanRun(directory)
  await beginRun(directory)
  await run.prepare?.()
  await using writer = checkpointWriter()
  const log = await RunLog.open(directory, { resumeStep: resumption?.step ?? 0, memory, every: run.logEvery ?? 1 })
  const progress = run.startProgress(run.name ?? "train", config.steps * config.batchSize, { unit: "samples" })
  try {
    const state = await train(info, config, {
      batches: (firstStep) => shown(run, log, firstStep),
      save: (current) => save(run, current, log, writer),
      ...(run.evaluate && { evaluate: (live) => evaluated(run, log, live) }),
      ...(run.start && { start: run.start }),
      ...(run.group && { group: run.group }),
      tally: run.bad,
      resume: resumption?.take,
      signal,
      onStep: (report) => progress.update(report.samplesSeen, liveText(log.step(report))),
    })
    if (run.report && isFirst(run)) await log.writeReport(withBad(run.report, run.bad))
    signal.throwIfAborted()
    return await resultOf(run, state, resumption?.step ?? 0, progress)
  } finally {
    log.close()
  }
}

/** The part of a process that is not the first of its group: it computes, and says nothing. */
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
    earlierSeconds: secondsOf(steps.filter(({ step }) => step <= resumed)),
    samplesPerSecond: (steps.length * config.batchSize) / secondsOf(steps),
  } satisfies TrainingResult
}

function withBad(report: RunReport, bad: BadTally | undefined): RunReport {
  return bad && bad.count > 0 ? { ...report, facts: [...report.facts, ["samples left out", badText(bad)]] } : report
}

/** "12: 10 damaged picture, 2 no caption" */
export function badText({ count, reasons }: Pick<BadTally, "count" | "reasons">): string {
  return `${count}: ${[...reasons].map(([reason, times]) => `${times} ${reason}`).join(", ")}`
}

/** The batches; some pictures of the first are kept for the report. */
async function* shown(run: TrainingRun, log: RunLog, firstStep: number) {
  let step = firstStep
  for await (const batch of run.batches(firstStep)) {
    if (step === firstStep && run.report && isFirst(run)) {
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

async function evaluated(run: TrainingRun, log: RunLog, live: LiveModel): Promise<"stop" | undefined> {
  // Where a run is resumed at an evaluation, it was made before, or the run was stopped just before it.
  if (log.evaluations.at(-1)?.step !== live.step)
    log.evaluation(entryOf(live, await run.evaluate!(live, [...log.evaluations])))
  return run.isEnough?.(log.evaluations) ? "stop" : undefined
}

function isFirst({ group }: TrainingRun): boolean {
  return !group || group.rank === 0
}

function entryOf({ step, samplesSeen }: LiveModel, tasks: Scores): EvaluationEntry {
  const scores = Object.values(tasks)
  return { step, samplesSeen, tasks, average: scores.reduce((sum, score) => sum + score, 0) / scores.length }
}

/** Bytes in use: of the CUDA devices where there are any, else of the process. */
function memory(): number {
  const devices = torch.memory().cuda ?? []
  return devices.length > 0 ? devices.reduce((sum, { reserved }) => sum + reserved, 0) : process.memoryUsage.rss()
}

// -------------------------------------------------------------------------------------------------------- state

/** Where a run goes on. */
interface Resumption extends Pick<TrainingState, "step" | "info" | "settings"> {
  /** The state; once, because it is three times the model, and is not kept here. */
  readonly take: () => TrainingState
}

async function existingState(run: TrainingRun): Promise<Resumption | undefined> {
  const path = await existingCheckpoint(run)
  return path === null ? undefined : resumptionOf(readCheckpoint(path))
}

function resumptionOf(state: TrainingState): Resumption {
  const { step, info, settings } = state
  const held = [state]
  return { step, info, settings, take: () => held.pop()! }
}

/**
 * The checkpoint that a run would go on from; null where it begins. Nothing is written.
 *
 * @throws UserError where there is one and it must not, or the other way, or the run would replace what is not a run's
 */
export async function existingCheckpoint(
  run: Pick<TrainingRun, "directory" | "existing" | "resumeFrom" | "files" | "report">,
): Promise<string | null> {
  const { directory, existing, resumeFrom } = run
  const latest = await latestCheckpoint(directory)
  if (latest === null && (existing !== "require" || resumeFrom !== undefined))
    await requireNewRun(directory, [...(run.report ? ["report.html"] : []), ...(run.files ?? [])])
  const path = resumeFrom ?? latest
  if (path) {
    if (existing !== "refuse") return path
    throw new UserError(
      `${directory} holds a training run already`,
      "go on with it (--resume), or choose another directory",
    )
  }
  if (existing !== "require") return null
  throw new UserError(
    `there is no run to resume in ${directory}: it has no checkpoints`,
    "leave out --resume to start one",
  )
}

/** Before a run writes anything in its directory, so that it is known for a run's if it ends before its first checkpoint. */
export async function beginRun(directory: string): Promise<void> {
  await markRun(directory, (await latestCheckpoint(directory)) !== null)
}

/** Throws UserError naming what differs. */
function checkSameRun(
  state: Pick<TrainingState, "info" | "settings">,
  { directory, config, otherData }: TrainingRun,
  info: CheckpointInfo<ModelConfig>,
): void {
  const settings = settingsOf(config)
  const differences = differentSettings(state.settings, settings)
  if (!isDeepStrictEqual(state.info.config, info.config))
    differences.unshift(`model ${state.info.name} (now ${info.name})`)
  const data = dataSettings.filter((name) => isOther(name, state.settings, settings))
  if (differences.length === 0 && (data.length === 0 || otherData)) return
  throw new UserError(
    `the run in ${directory} was made with ${[...differences, ...data.map((name) => changeOf(name, state.settings, settings))].join(", ")}`,
    differences.length === 0 ? otherDataHint(otherData) : "go on with its own options, or choose another directory",
  )
}

function otherDataHint(otherData: boolean | undefined): string {
  return otherData === undefined
    ? "go on with its own data, or choose another directory"
    : "go on with its own data, choose another directory, or say that the change is meant: --allow-other-data"
}

function differentSettings(before: Settings, now: Settings): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return names
    .filter((name) => name !== ranksSetting && !dataSettings.includes(name) && before[name] !== now[name])
    .filter((name) => !(placeSettings.includes(name) && now[name] === undefined))
    .map((name) => changeOf(name, before, now))
}

function changeOf(name: string, before: Settings, now: Settings): string {
  const unsaid = unsaidSettings[name] ?? "none"
  return `${name} ${before[name] ?? unsaid} (now ${now[name] ?? unsaid})`
}

/** Settings that are left out where they are the default, which is not none. */
const unsaidSettings: Readonly<Record<string, string>> = { truncated: "accept (the default)" }

/** What tells the data of a run, and models that take part, by their contents. Not every checkpoint says it. */
const dataSettings: readonly string[] = ["data", "heldOut", "teacherWeights"]

/** Where a checkpoint says what the data is by its place: that may change. */
const placeSettings: readonly string[] = ["pictures", "source"]

function isOther(name: string, before: Settings, now: Settings): boolean {
  return before[name] !== undefined && before[name] !== now[name]
}

function noteData({ settings: before }: Resumption, now: Settings, { directory, note }: TrainingRun): void {
  for (const name of dataSettings) {
    if (now[name] === undefined || before[name] === now[name]) continue
    note?.(
      before[name] === undefined
        ? `the run in ${directory} does not say its ${name}, and goes on with ${now[name]}`
        : `the run in ${directory} had ${name} ${before[name]}, and goes on with ${now[name]}`,
    )
  }
}

/** Of how many processes a run is: it may go on with another number, and is not bit for bit the same then. */
export const ranksSetting = "ranks"

function noteRanks({ settings: before }: Resumption, now: Settings, { directory, note }: TrainingRun): void {
  const [earlier, later] = [before[ranksSetting], now[ranksSetting]]
  if (earlier === undefined || later === undefined || earlier === later) return
  note?.(
    `the run in ${directory} had ${earlier} ${earlier === 1 ? "process" : "processes"} and goes on with ${later}: batch norm's statistics are of each one's part of a batch, unless syncBatchNorm is set`,
  )
}

/** The log goes first: lines behind the checkpoint that is resumed are dropped then, missing ones would not come back. */
async function save(
  { directory, keep = 1 }: TrainingRun,
  state: TrainingState,
  log: RunLog,
  writer: ReturnType<typeof checkpointWriter>,
): Promise<void> {
  log.flush()
  await writer.ask({ directory, state, keep })
}

function secondsOf(steps: readonly StepEntry[]): number {
  return steps.reduce((sum, { seconds }) => sum + seconds, 0)
}

async function writeModel(directory: string, state: TrainingState): Promise<string> {
  const path = join(directory, "model.safetensors")
  await writeAtomically(path, safetensorsChunks(checkpointTensors(trainedModel(state)), checkpointMetadata(state.info)))
  return path
}
