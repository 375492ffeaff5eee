/** The quickstart: render, train, export, evaluate, classify, report. Each stage leaves files that the next one reads. */
import { join } from "node:path"
import { env as onnxruntime } from "onnxruntime-node"
import * as torch from "../../../torch/index.ts"
import { Tokenizer } from "../../core/tokenizer.ts"
import { variants } from "../../core/variants.ts"
import { batches } from "../../data/batches.ts"
import { expandShards } from "../../data/expand.ts"
import { loadPictures, type Picture, trainingSide } from "../../data/pictures.ts"
import { namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import { renderScenes } from "../../data/scenes/dataset.ts"
import { exportModel } from "../../export/export.ts"
import { makeDirectory } from "../../host/files.ts"
import { buildModel, type CheckpointInfo } from "../../model/checkpoint.ts"
import type { Clip } from "../../model/clip.ts"
import { loadModel } from "../../run/node.ts"
import { sourceOf, withCheckpoint } from "../checkpoint.ts"
import type { StartProgress } from "../progress.ts"
import { torchReference } from "../torch-reference.ts"
import { runTraining, type TrainingResult } from "../training.ts"
import { version } from "../version.ts"
import { readScenes, scoreRetrieval, scoreTasks } from "./evaluation.ts"
import { thisMachine } from "./machine.ts"
import { recipe } from "./recipe.ts"
import { type ReportData, writeReport } from "./report.ts"
import { classifySamples, writeSamples } from "./samples.ts"

export interface QuickstartOptions {
  /** Everything is written below this directory. */
  readonly out: string
  readonly seed: number
  readonly steps: number
  /** Pictures to train on. */
  readonly pictures: number
  readonly threads: number
  readonly startProgress: StartProgress
  /** Gets one line about what happens now. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Runs all stages; an interrupted run goes on where it was. Returns what the report says. */
export async function quickstart(options: QuickstartOptions): Promise<ReportData> {
  const { out, startProgress, say } = options
  const clock = new Clock(options.signal)
  await makeDirectory(out)

  const scenes = join(out, "scenes")
  await clock.stage("render", () => render(scenes, options))
  const pictures = await clock.stage("load", () => load(join(scenes, "train"), options))
  const training = await clock.stage("train", () => trainModel(pictures, options))

  const directory = join(out, "model")
  const { verification } = await clock.stage("export", () => exportCheckpoint(training.checkpoint, directory))
  say(
    `exported to ${directory}; differs from ${verification.reference} by ${worst(verification)} standard deviations at most`,
  )

  await using model = await loadModel(directory, { threads: options.threads })
  const test = await readScenes(join(scenes, "test"))
  const progress = startProgress("evaluate", test.length, { unit: "pictures" })
  const [tasks, retrieval] = await clock.stage("evaluate", async () => [
    await scoreTasks(model, test, (done) => progress.update(done)),
    await scoreRetrieval(model, await readScenes(join(scenes, "retrieval"))),
  ])
  progress.done()
  const samples = await clock.stage("classify", async () => {
    await writeSamples(join(out, "pictures"), test)
    return classifySamples(model, test)
  })

  const report: ReportData = {
    seconds: clock.seconds() + training.earlierSeconds,
    samplesSeen: training.state.info.samplesSeen,
    model: describeModel(training),
    training: describeTraining(training, options),
    losses: training.log,
    tasks,
    retrieval,
    pictures: samples,
    stages: clock.stages,
    machine: thisMachine(),
    versions: {
      mobileclip: version(),
      libtorch: torch.version(),
      onnxruntime: onnxruntime.versions.node ?? "unknown",
      node: process.versions.node,
    },
    next: nextCommands(out),
  }
  await writeReport(out, report)
  return report
}

// ------------------------------------------------------------------------------------------------------ stages

async function render(out: string, { seed, pictures, startProgress, signal }: QuickstartOptions): Promise<void> {
  const counts = { ...recipe.scenes, train: pictures }
  const progress = startProgress("render", counts.train + counts.test + counts.retrieval, { unit: "pictures" })
  await renderScenes({ out, seed, counts, signal, onProgress: (done) => progress.update(done) })
  progress.done()
}

async function load(folder: string, { pictures, startProgress, signal }: QuickstartOptions): Promise<Picture[]> {
  const { preprocessing } = variants[recipe.variant]
  const progress = startProgress("load", pictures, { unit: "pictures" })
  const loaded = await loadPictures(await expandShards(folder), {
    side: trainingSide(preprocessing.size),
    interpolation: preprocessing.interpolation,
    onProgress: (done) => progress.update(done),
    signal,
  })
  progress.done()
  return loaded
}

function trainModel(pictures: readonly Picture[], options: QuickstartOptions): Promise<TrainingResult> {
  const { model, preprocessing } = variants[recipe.variant]
  const info: CheckpointInfo = { name: recipe.variant, config: model, preprocessing, license: "MIT", samplesSeen: 0 }
  const { seed, steps, threads } = options
  const config = { ...recipe.training, seed, steps, threads, data: { caption: "precise", pictures: pictures.length } }
  return runTraining({
    ...options,
    directory: join(options.out, "training"),
    info,
    config,
    batches: (startStep) =>
      batches(pictures, {
        ...config,
        preprocessing,
        contextLength: model.text.contextLength,
        tokenizer: new Tokenizer(),
        caption: "precise",
        startStep,
      }),
    existing: "continue",
  })
}

function exportCheckpoint(checkpoint: string, directory: string) {
  return withCheckpoint(checkpoint, async ({ model, info }) =>
    exportModel(model, info, directory, { source: await sourceOf(checkpoint), reference: torchReference(model) }),
  )
}

// ------------------------------------------------------------------------------------------------------ report

function describeModel({ state }: TrainingResult): ReportData["model"] {
  const { name, config } = state.info
  const model = buildModel(config) as Clip
  const parameters = { image: model.image.learnedSize(), text: model.text.learnedSize(), total: model.learnedSize() }
  return { name, imageSize: config.imageSize, embedDim: config.embedDim, parameters }
}

function describeTraining(
  { log, samplesPerSecond }: TrainingResult,
  { steps }: QuickstartOptions,
): ReportData["training"] {
  return { steps, batchSize: recipe.training.batchSize, samplesPerSecond, finalLoss: log.at(-1)!.loss }
}

function worst({ imageError, textError = 0 }: { imageError: number; textError?: number | undefined }): string {
  return Math.max(imageError, textError).toExponential(1)
}

function nextCommands(out: string): ReportData["next"] {
  const model = out === "runs/quickstart" ? "" : ` --model ${join(out, "model")}`
  return [
    {
      command: `npx mobileclip classify ${join(out, "pictures")} --labels ${namesOf(SHAPES).join(",")} --template "a {}" --top 1${model}`,
      purpose: "label the sample pictures, with these labels or others",
    },
    {
      command: `npx mobileclip train --train-data ${join(out, "scenes", "train")} --out runs/mine --steps 2000`,
      purpose: "train longer on the same pictures, or on shards of yours",
    },
    {
      command: "npx mobileclip export runs/mine/model.safetensors --out runs/mine/model",
      purpose: "export what you trained",
    },
  ]
}

/** Wall time of the stages. */
class Clock {
  readonly stages: { name: string; seconds: number }[] = []
  private readonly started = performance.now()

  constructor(private readonly signal: AbortSignal) {}

  async stage<T>(name: string, run: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted()
    const started = performance.now()
    const result = await run()
    this.stages.push({ name, seconds: (performance.now() - started) / 1000 })
    return result
  }

  seconds(): number {
    return (performance.now() - this.started) / 1000
  }
}
