/**
 * A training run on disk: `latest.safetensors` (to resume from), `model.safetensors` (without the optimiser) and
 * `log.jsonl` (a line per step). Resuming continues the log where the state stands.
 */
import { existsSync } from "node:fs"
import { appendFile, mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../core/errors.ts"
import { SafetensorsFile, safetensorsChunks } from "../core/safetensors.ts"
import { Tokenizer } from "../core/tokenizer.ts"
import { batches, type CaptionChoice } from "../data/batches.ts"
import type { Picture } from "../data/pictures.ts"
import { openRandomAccess, writeAtomically } from "../host/files.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../model/checkpoint.ts"
import { Clip } from "../model/clip.ts"
import { loadTrainingState, readTrainingState, type TrainingState, trainingStateChunks } from "../train/state.ts"
import { type StepReport, type TrainConfig, train } from "../train/train.ts"
import type { StartProgress } from "./progress.ts"

export interface TrainingRun {
  readonly directory: string
  readonly info: CheckpointInfo
  readonly config: TrainConfig
  readonly pictures: readonly Picture[]
  readonly caption: CaptionChoice
  /** Go on from `latest.safetensors` in the directory. */
  readonly resume: boolean
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface TrainingResult {
  readonly state: TrainingState
  /** One per step, of the resumed part as well. */
  readonly log: readonly StepReport[]
  readonly checkpoint: string
  /** Of the steps made now. */
  readonly samplesPerSecond: number
}

/** Throws the signal's reason when it was stopped before the last step; the state is saved then. */
export async function runTraining(run: TrainingRun): Promise<TrainingResult> {
  const { directory, info, config, pictures, caption, signal } = run
  await mkdir(directory, { recursive: true })
  const resume = run.resume ? readState(join(directory, "latest.safetensors")) : undefined
  if (resume) checkSameRun(resume, run)
  const log = await openLog(join(directory, "log.jsonl"), resume?.step ?? 0)
  const progress = run.startProgress("train", config.steps * config.batchSize, { unit: "samples" })
  const tokenizer = new Tokenizer()
  const started = performance.now()
  const state = await train(info, config, {
    batches: (startStep) =>
      batches(pictures, {
        ...config,
        preprocessing: info.preprocessing,
        contextLength: info.config.text.contextLength,
        tokenizer,
        caption,
        startStep,
      }),
    save: async (current) => {
      await writeAtomically(join(directory, "latest.safetensors"), trainingStateChunks(current))
      await log.flush()
    },
    resume,
    signal,
    onStep(report) {
      log.add(report)
      progress.update(report.samplesSeen, `loss ${report.loss.toFixed(3)}`)
    },
  })
  signal.throwIfAborted()
  const samples = state.info.samplesSeen - (resume?.info.samplesSeen ?? 0)
  const samplesPerSecond = (1000 * samples) / (performance.now() - started)
  progress.done(`loss ${log.entries.at(-1)?.loss.toFixed(3)}`)
  return { state, log: log.entries, checkpoint: await writeModel(directory, state), samplesPerSecond }
}

/** Steps already made in this directory; 0 where there is no state. */
export function stepsMade(directory: string): number {
  const path = join(directory, "latest.safetensors")
  return existsSync(path) ? readState(path).step : 0
}

function readState(path: string): TrainingState {
  const file = openRandomAccess(path)
  try {
    return readTrainingState(new SafetensorsFile(file), path)
  } finally {
    file.close()
  }
}

function checkSameRun({ info, seed, step }: TrainingState, { directory, info: wanted, config }: TrainingRun): void {
  const differences = [
    isDeepStrictEqual(info.config, wanted.config) ? null : "another model",
    seed === config.seed ? null : `seed ${seed}`,
    info.samplesSeen === step * config.batchSize ? null : `batch size ${info.samplesSeen / step}`,
  ].filter((difference) => difference !== null)
  if (differences.length === 0) return
  throw new UserError(
    `the run in ${directory} was made with ${differences.join(", ")}`,
    "resume it with its own options, or train into another directory",
  )
}

/** Entries are kept and written at every save, so that the file never has steps that the state does not. */
async function openLog(path: string, step: number) {
  const before = step > 0 && existsSync(path) ? (await readFile(path, "utf8")).split("\n").filter(Boolean) : []
  const entries = before.map((line) => JSON.parse(line) as StepReport).filter((entry) => entry.step <= step)
  await writeAtomically(path, entries.map(jsonLine))
  let written = entries.length
  return {
    entries,
    add: (entry: StepReport) => void entries.push(entry),
    async flush() {
      const fresh = entries.slice(written)
      written = entries.length
      await appendFile(path, fresh.map(jsonLine).join(""))
    },
  }
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

async function writeModel(directory: string, state: TrainingState): Promise<string> {
  const model = new Clip(state.info.config)
  loadTrainingState(model, state)
  const path = join(directory, "model.safetensors")
  await writeAtomically(path, safetensorsChunks(checkpointTensors(model), checkpointMetadata(state.info)))
  return path
}
