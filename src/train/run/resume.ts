/** Resuming a run: from which checkpoint, and whether that checkpoint belongs to the same run. */
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../../core/errors.ts"
import type { ModelConfig } from "../../core/family/variants.ts"
import { shellQuote } from "../../core/shell-quote.ts"
import { isSamePlace } from "../../host/files/same-place.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { latestCheckpoint, readCheckpoint } from "../checkpoints/folder.ts"
import type { Settings, TrainingState } from "../checkpoints/state.ts"
import type { RunReport } from "../log/run-log.ts"
import { settingsOf, type TrainConfig } from "../train.ts"
import { markRun, requireNewRun } from "./new-run.ts"

/** Where a run is written, and how it may begin. */
export interface RunFolder {
  readonly directory: string
  /** Whether the directory may hold a run already: "refuse", "require" one, or "continue" it where there is one. */
  readonly existing: "refuse" | "require" | "continue"
  /** The checkpoint to go on from; absent: the newest. */
  readonly resumeFrom?: string
  /** Names of files that are written in the directory beside those of every run. Files of these names that another program wrote are not replaced. */
  readonly files?: readonly string[]
  /** What `report.html` says, which is written at the end, or when the run stops; absent: none is written. */
  readonly report?: RunReport
}

export interface ResumableRun extends RunFolder {
  readonly info: CheckpointInfo<ModelConfig>
  readonly config: TrainConfig
  /** Whether the run may go on with other data, or other teachers, than it began with; absent: there is no option for that. */
  readonly otherData?: boolean
  /** Gets a line about each change that is allowed. */
  readonly note?: (line: string) => void
}

/** The state that a run goes on from. */
interface Resumption extends Pick<TrainingState, "step" | "info" | "settings"> {
  /** Gives the state, once: it is three times as large as the model, and is not kept here. */
  readonly take: () => TrainingState
}

/** The state to go on from; absent where the run begins. Throws as `existingCheckpoint` does. */
export async function existingState(run: RunFolder): Promise<Resumption | undefined> {
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
 * @throws UserError where there is a run that `existing` refuses, or none that it requires, or where the run would replace other files
 */
export async function existingCheckpoint(run: RunFolder): Promise<string | null> {
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

/** Marks the directory as a run's before anything is written in it, for the case that the run ends before its first checkpoint. */
export async function beginRun(directory: string): Promise<void> {
  await markRun(directory, (await latestCheckpoint(directory)) !== null)
}

/** Notes other data and another number of processes where they are allowed. Throws UserError naming what else differs. */
export function checkSameRun(state: Resumption, run: ResumableRun, info: CheckpointInfo<ModelConfig>): void {
  const settings = settingsOf(run.config)
  refuseOtherRun(state, settings, run, info)
  noteRanks(state, settings, run)
  noteData(state, settings, run)
}

function refuseOtherRun(
  state: Resumption,
  settings: Settings,
  { directory, otherData }: ResumableRun,
  info: CheckpointInfo<ModelConfig>,
): void {
  const differences = differentSettings(state.settings, settings)
  if (!isDeepStrictEqual(state.info.config, info.config))
    differences.unshift(`model ${state.info.name} (now ${info.name})`)
  const data = dataSettings.filter((name) => isOther(name, state, settings))
  if (differences.length === 0 && (data.length === 0 || otherData)) return
  throw new UserError(
    `the run in ${directory} was made with ${[...differences, ...data.map((name) => changeOf(name, state.settings, settings))].join(", ")}`,
    differences.length === 0
      ? otherDataHint(data, otherData)
      : otherOptionsHint(state, directory, otherData !== undefined),
  )
}

/** @param isRecipe whether the run is one of a recipe, whose weights another one can begin with */
function otherOptionsHint({ step, settings }: Resumption, directory: string, isRecipe: boolean): string {
  if (step !== settings.steps || !isRecipe) return "go on with its own options, or choose another directory"
  const weights = shellQuote(join(directory, "model.safetensors"))
  return `it is finished; for more steps begin another run with its weights: --pretrained ${weights} and another --out`
}

/** @param names of the settings that differ */
function otherDataHint(names: readonly string[], otherData: boolean | undefined): string {
  const own = names.some((name) => name !== orderSetting)
    ? "go on with its own data"
    : "finish it with the version that began it, which shuffles so many samples in another way"
  return otherData === undefined
    ? `${own}, or choose another directory`
    : `${own}, choose another directory, or say that the change is meant: --allow-other-data`
}

function differentSettings(before: Settings, now: Settings): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return names
    .filter((name) => name !== ranksSetting && !dataSettings.includes(name) && !isSame(name, before, now))
    .filter((name) => !(placeSettings.includes(name) && now[name] === undefined))
    .map((name) => changeOf(name, before, now))
}

function isSame(name: string, before: Settings, now: Settings): boolean {
  if (!modelSettings.includes(name)) return before[name] === now[name]
  const [earlier, later] = [before, now].map((settings) => String(settings[name] ?? "").split(" "))
  return earlier!.length === later!.length && earlier!.every((path, i) => isSamePlace(path, later![i]!))
}

function changeOf(name: string, before: Settings, now: Settings): string {
  const unsaid = unsaidSettings[name] ?? "none"
  return `${name} ${before[name] ?? unsaid} (now ${now[name] ?? unsaid})`
}

/** How samples are ordered where that is not a stored shuffle, which it always was in earlier versions. */
const orderSetting = "order"

/** Settings that are left out where they have their default: what it is called in messages. */
const unsaidSettings: Readonly<Record<string, string>> = {
  truncated: "accept (the default)",
  [orderSetting]: "shuffled",
}

/** Settings that identify the data of a run, and other models that take part, by their contents. Not every checkpoint has them. */
const dataSettings: readonly string[] = ["data", "heldOut", "teacherWeights", orderSetting]

/** Settings that name models by their paths. */
const modelSettings: readonly string[] = ["start", "teachers"]

/** Settings by which some checkpoints identify the data by its path: the path may change. */
const placeSettings: readonly string[] = ["pictures", "source"]

/** A run that has all of its steps takes no samples in any order. */
function isOther(name: string, { step, settings: before }: Resumption, now: Settings): boolean {
  if (name === orderSetting && step === before.steps) return false
  return before[name] !== now[name] && (before[name] !== undefined || name === orderSetting)
}

function noteData(state: Resumption, now: Settings, { directory, note }: ResumableRun): void {
  for (const name of dataSettings) {
    const [before, after] = [state.settings[name], now[name]].map((value) => value ?? unsaidSettings[name])
    if (after === undefined) continue
    if (isOther(name, state, now)) note?.(`the run in ${directory} had ${name} ${before}, and goes on with ${after}`)
    else if (before === undefined) note?.(`the run in ${directory} does not say its ${name}, and goes on with ${after}`)
  }
}

/** The number of processes of a run. It may go on with another number, and is not bit for bit the same then. */
export const ranksSetting = "ranks"

function noteRanks({ settings: before }: Resumption, now: Settings, { directory, note }: ResumableRun): void {
  const [earlier, later] = [before[ranksSetting], now[ranksSetting]]
  if (earlier === undefined || later === undefined || earlier === later) return
  note?.(
    `the run in ${directory} had ${earlier} ${earlier === 1 ? "process" : "processes"} and goes on with ${later}: batch norm's statistics are of each one's part of a batch, unless syncBatchNorm is set`,
  )
}
