/** Training on the user's pictures, stopped when the probe gets no better; the best state is kept beside the last. */
import { join, resolve } from "node:path"
import { safetensorsChunks } from "../core/containers/safetensors.ts"
import type { ModelConfig } from "../core/family/variants.ts"
import type { StartProgress } from "../core/progress.ts"
import { fillTemplate } from "../core/text/prompts.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { listIdentity } from "../data/training/sources/identity.ts"
import { listPairs, type Pair } from "../data/training/sources/pairs.ts"
import { openTrainingData } from "../data/training/training-data.ts"
import { makeDirectory, writeAtomically } from "../host/files/files.ts"
import type { Truncated } from "../host/image/picture-format.ts"
import {
  buildModel,
  type CheckpointInfo,
  checkpointMetadata,
  checkpointTensors,
} from "../model/checkpoint/checkpoint.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder } from "../tensor/torch-encoder.ts"
import { loadTensors, type Settings } from "../train/checkpoints/state.ts"
import { beginRun, existingCheckpoint } from "../train/run/resume.ts"
import { runTraining, type TrainingResult } from "../train/run/run-directory.ts"
import type { LiveModel, TrainConfig } from "../train/train.ts"
import type { StartModel } from "../weights/start-model.ts"
import { isBest, isStalled, type Tensors } from "./average.ts"
import type { Split } from "./hold-out.ts"
import type { Classes, OwnPicture } from "./own-pictures.ts"
import { type Probe, type ProbeResult, scoreProbe } from "./probe.ts"

interface Tuning {
  /** Its lock is the caller's. */
  readonly directory: string
  readonly start: StartModel
  readonly config: TrainConfig
  readonly split: Split
  readonly classes: Classes | null
  readonly probe: Probe
  /** Of the start. */
  readonly before: ProbeResult
  /** Evaluations without a better one that end the run; 0: none do. */
  readonly patience: number
  readonly resume: boolean
  readonly truncated: Truncated
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface Tuned extends TrainingResult {
  /** Pictures of the training part that could not be used. */
  readonly damaged: number
  /** Of those that were used, how many end before their end. */
  readonly cutOff: number
}

/** Whether it may be begun, or gone on with; before anything is written. */
export async function checkRun(directory: string, resume: boolean): Promise<void> {
  await existingCheckpoint({ directory, existing: resume ? "require" : "refuse", files: ownFiles })
}

/** Beside those of every run. */
const ownFiles = [
  "train.jsonl",
  "held-out.jsonl",
  "best.safetensors",
  "report.html",
  "report.json",
  "labels.txt",
] as const

/** Leaves `best.safetensors`, the state with the best probe, and all that a training run leaves. */
export async function tune(tuning: Tuning): Promise<Tuned> {
  const { directory, start, config, before, patience, truncated, startProgress, signal } = tuning
  await makeDirectory(directory)
  await beginRun(directory)
  const list = await writeLists(tuning)
  const data = await openTrainingData({
    ...{ source: list, format: "jsonl", view: "crop", rank: 0, ranks: 1, workers: 1, prefetch: 3 },
    ...{ batchSize: config.batchSize, seed: config.seed, preprocessing: start.info.preprocessing },
    tokenizer: new Tokenizer(),
    contextLength: start.info.config.text.contextLength,
    truncated,
    maxBadSamples: Math.max(10, Math.floor(tuning.split.train.length / 20)),
  })
  try {
    const result = await runTraining({
      ...{ directory, files: ownFiles, isLocked: true, info: start.info, startProgress, signal },
      name: "finetune",
      config: {
        ...config,
        data: { ...(await identitiesOf(tuning, data.identity)), ...(truncated === "refuse" && { truncated }) },
      },
      start: start.tensors,
      batches: (firstStep) => data.batches(firstStep),
      bad: data.bad,
      evaluate: async (live, earlier) => {
        const result = await scoreLive(tuning.probe, live, start.info)
        if (isBest([...earlier.map(({ average }) => average), result.score])) await saveBest(tuning, live)
        return result.tasks
      },
      isEnough: (evaluations) => isStalled([before.score, ...evaluations.map(({ average }) => average)], patience),
      existing: tuning.resume ? "require" : "refuse",
    })
    return { ...result, damaged: data.bad.count, cutOff: data.cutOff }
  } finally {
    await data.close()
  }
}

/** The best state's file; its metadata say after how many samples it was. */
export function bestFile(directory: string): string {
  return join(directory, "best.safetensors")
}

/** The probe's scores of a model that is not in training. */
export async function scoreTensors(
  probe: Probe,
  info: CheckpointInfo<ModelConfig>,
  tensors: Tensors,
  device: TrainConfig["device"],
): Promise<ProbeResult> {
  const model = buildModel(info.config)
  loadTensors(model, tensors)
  const interpreter = new TorchInterpreter(model, { device })
  try {
    return await scoreLive(probe, { model, interpreter }, info)
  } finally {
    interpreter.free()
  }
}

function scoreLive(
  probe: Probe,
  { model, interpreter }: Pick<LiveModel, "model" | "interpreter">,
  { preprocessing }: CheckpointInfo<ModelConfig>,
): Promise<ProbeResult> {
  const encoder = new TorchEncoder(model, interpreter, { preprocessing })
  return scoreProbe(probe, encoder, Math.exp(interpreter.value(model.logitScale).item()))
}

async function saveBest({ directory, start }: Tuning, { interpreter, samplesSeen }: LiveModel): Promise<void> {
  await writeCheckpoint(bestFile(directory), { ...start.info, samplesSeen }, interpreter.hostState())
}

export async function writeCheckpoint(
  path: string,
  info: CheckpointInfo<ModelConfig>,
  tensors: Tensors,
): Promise<void> {
  const model = buildModel(info.config)
  loadTensors(model, tensors)
  await writeAtomically(path, safetensorsChunks(checkpointTensors(model), checkpointMetadata(info)))
}

/** `train.jsonl` and `held-out.jsonl`: which picture is on which side, as `--train-data` takes them. */
async function writeLists({ directory, split, classes }: Tuning): Promise<string> {
  const { train, heldOut } = listFiles(directory)
  await writeAtomically(train, [listText(split.train, classes)])
  await writeAtomically(heldOut, [listText(split.heldOut, classes)])
  return train
}

/** By which a run is told from one on other pictures, or from another model: the held out ones choose what is kept. */
async function identitiesOf({ directory, split, start }: Tuning, data: string): Promise<Settings> {
  const heldOut = await listIdentity(listPairs(directory, heldOutPairs(split)))
  return { data, heldOut, start: start.source.sha256.slice(0, 16) }
}

function heldOutPairs({ heldOut }: Split): Pair[] {
  return heldOut.map(({ path, captions }) => ({ image: path, captions }))
}

export function listFiles(directory: string) {
  return {
    train: join(directory, "train.jsonl"),
    heldOut: join(directory, "held-out.jsonl"),
    labels: join(directory, "labels.txt"),
  }
}

function listText(pictures: readonly OwnPicture[], classes: Classes | null): string {
  const lines = pictures.map(({ path, captions }) => {
    const texts = classes
      ? classes.templates.flatMap((template) => captions.map((name) => fillTemplate(template, name)))
      : captions
    return `${JSON.stringify({ image: resolve(path), captions: texts })}\n`
  })
  return lines.join("")
}
