/** Training on the user's pictures. It stops when the scores of the probe stall; the best state is kept beside the last. */
import { join, resolve } from "node:path"
import type { ModelConfig } from "../core/family/variants.ts"
import type { StartProgress } from "../core/progress.ts"
import { fillTemplate } from "../core/text/prompts.ts"
import { Tokenizer } from "../core/text/tokenizer.ts"
import { listIdentity } from "../data/training/sources/identity.ts"
import { listPairs, type Pair } from "../data/training/sources/pairs.ts"
import { openTrainingData } from "../data/training/training-data.ts"
import { makeDirectory, writeAtomically } from "../host/files/files.ts"
import type { Truncated } from "../host/image/picture-format.ts"
import { buildModel, type CheckpointInfo } from "../model/checkpoint/checkpoint.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder } from "../tensor/torch-encoder.ts"
import { loadTensors, modelChunks, type Settings } from "../train/checkpoints/state.ts"
import { beginRun, existingCheckpoint } from "../train/run/resume.ts"
import { runTraining, type TrainingResult } from "../train/run/run-directory.ts"
import type { LiveModel, TrainConfig } from "../train/train.ts"
import type { StartModel } from "../weights/start-model.ts"
import { isBest, isStalled, type Tensors } from "./average.ts"
import type { Split } from "./hold-out.ts"
import type { Classes, OwnPicture } from "./own-pictures.ts"
import { type Probe, type ProbeResult, scoreProbe } from "./probe.ts"

interface Tuning {
  /** The caller holds its lock. */
  readonly directory: string
  readonly start: StartModel
  readonly config: TrainConfig
  readonly split: Split
  readonly classes: Classes | null
  readonly probe: Probe
  /** The scores of the start. */
  readonly before: ProbeResult
  /** The run ends after this many evaluations without a better one; 0: it does not end early. */
  readonly patience: number
  readonly resume: boolean
  readonly truncated: Truncated
  readonly startProgress: StartProgress
  readonly signal: AbortSignal
}

export interface Tuned extends TrainingResult {
  /** Pictures of the training part that could not be used. */
  readonly damaged: number
  /** How many of the pictures that were used are truncated. */
  readonly cutOff: number
}

/** Checks, before anything is written, that the run may begin, or go on. Throws UserError where it may not. */
export async function checkRun(directory: string, resume: boolean): Promise<void> {
  await existingCheckpoint({ directory, existing: resume ? "require" : "refuse", files: ownFiles })
}

/** Files beside those of every run. */
const ownFiles = [
  "train.jsonl",
  "held-out.jsonl",
  "best.safetensors",
  "report.html",
  "report.json",
  "labels.txt",
] as const

/** Writes `best.safetensors`, the state with the best scores, and the files of a training run. */
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
    signal,
  })
  try {
    const result = await runTraining({
      ...{ directory, files: ownFiles, isLocked: true, info: start.info, startProgress, signal },
      name: "finetune",
      config: {
        ...config,
        data: {
          ...(await identitiesOf(tuning, data.identity)),
          ...data.orderSettings,
          ...(truncated === "refuse" && { truncated }),
        },
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

/** The file of the best state; its metadata have the number of samples it has seen. */
export function bestFile(directory: string): string {
  return join(directory, "best.safetensors")
}

/** The scores of a model that is not in training. */
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
  await writeAtomically(bestFile(directory), modelChunks({ ...start.info, samplesSeen }, interpreter.hostState()))
}

/** Writes `train.jsonl` and `held-out.jsonl`, the pictures of both parts, as `--train-data` takes them. */
async function writeLists({ directory, split, classes }: Tuning): Promise<string> {
  const { train, heldOut } = listFiles(directory)
  await writeAtomically(train, listParts(split.train, classes))
  await writeAtomically(heldOut, listParts(split.heldOut, classes))
  return train
}

/** Distinguishes a run from one on other pictures or from another model. The held-out pictures count too, because they decide which state is kept. */
async function identitiesOf({ directory, split, start }: Tuning, data: string): Promise<Settings> {
  const heldOut = await listIdentity(listPairs(directory, heldOutPairs(split)))
  return { data, heldOut, start: start.source.sha256.slice(0, 16) }
}

function heldOutPairs({ heldOut }: Split): Pair[] {
  return heldOut.map(({ path, captions }) => ({ image: resolve(path), captions }))
}

export function listFiles(directory: string) {
  return {
    train: join(directory, "train.jsonl"),
    heldOut: join(directory, "held-out.jsonl"),
    labels: join(directory, "labels.txt"),
  }
}

/** Lines that are written at a time: all may be more than a string can hold. */
const linesAtOnce = 1000

function* listParts(pictures: readonly OwnPicture[], classes: Classes | null): Generator<string> {
  for (let first = 0; first < pictures.length; first += linesAtOnce)
    yield pictures
      .slice(first, first + linesAtOnce)
      .map((picture) => lineOf(picture, classes))
      .join("")
}

function lineOf({ path, captions }: OwnPicture, classes: Classes | null): string {
  const texts = classes
    ? classes.templates.flatMap((template) => captions.map((name) => fillTemplate(template, name)))
    : captions
  return `${JSON.stringify({ image: resolve(path), captions: texts })}\n`
}
