/**
 * Fine-tuning on one's own pictures: a part of them is held out, a trained model is trained further on the rest, its weights
 * are averaged with those of the start, and the result is exported and compared with the start in a report.
 */
import { join, resolve } from "node:path"
import { oneLine, UserError } from "../core/errors.ts"
import { noProgress, type StartProgress } from "../core/progress.ts"
import { checkModelDirectory } from "../export/model-files.ts"
import { writeAtomically } from "../host/files/files.ts"
import type { Truncated } from "../host/image/picture-format.ts"
import { lockFolder } from "../host/locks/lock.ts"
import type { PullWeights } from "../hub/pull.ts"
import { checkDevice } from "../tensor/torch.ts"
import { modelChunks } from "../train/checkpoints/state.ts"
import { exportCheckpoint } from "../weights/export-checkpoint.ts"
import { withCheckpoint } from "../weights/open-checkpoint.ts"
import { readStartModel, type StartModel } from "../weights/start-model.ts"
import { averaged, averages, bestOf, type Tensors } from "./average.ts"
import { holdOut, type Split } from "./hold-out.ts"
import { type Classes, type OwnPicturesOptions, readOwnPictures } from "./own-pictures.ts"
import { openProbe, type Probe, type ProbeResult } from "./probe.ts"
import { writeReport } from "./report.ts"
import type { Candidate, FinetuneReport } from "./report-data.ts"
import { type FinetuneSettings, finetuneConfig, patienceFor } from "./settings.ts"
import { bestFile, checkRun, listFiles, scoreTensors, tune } from "./tune.ts"

export interface FinetuneOptions extends FinetuneSettings, OwnPicturesOptions {
  /** A folder, a CSV or a JSONL file. */
  readonly source: string
  /** A checkpoint, a run's folder or the name of a released model. */
  readonly model: string
  /** Which member of the family it is, where its contents leave a choice. */
  readonly variant?: string
  /** Downloads `model` where it is a name. Default: from the hub, without progress. */
  readonly pull?: PullWeights
  /** Everything is written below this directory. */
  readonly out: string
  /** Share of the pictures that is held out for the probe. */
  readonly holdOut?: number
  /** Share of the tuned weights in what is written; null: the probe chooses. */
  readonly average?: number | null
  /**
   * The run ends after this many of its 20 evaluations without a better one; 0: it does not end early; null: 5, and 0 in a run
   * that is short anyway.
   */
  readonly patience?: number | null
  /** Whether to go on with the run in `out`. */
  readonly resume?: boolean
  /** What happens to truncated pictures: the part that is there is used, or they are left out. */
  readonly truncated?: Truncated
  readonly startProgress?: StartProgress
  /** Gets one line about what happens now. */
  readonly say?: (line: string) => void
  /** Its abort ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal
}

export const finetuneDefaults = {
  ...{ holdOut: 0.2, average: null, patience: null, resume: false, seed: 0, device: "cpu", truncated: "accept" },
  ...{ startProgress: noProgress, say() {} },
} as const satisfies Partial<FinetuneOptions>

type ResolvedOptions = FinetuneOptions & Required<Pick<FinetuneOptions, keyof typeof finetuneDefaults | "signal">>

/** The most pictures of the probe: all of them are encoded at every evaluation. */
const largestProbe = 2000

/**
 * Writes `model/`, `model.safetensors`, `labels.txt` for classes, `report.html` and the files of a training run into `out`.
 *
 * @throws UserError where pictures, model or options do not fit, or `out` holds another run
 * @throws the signal's reason where the training was stopped; `resume` goes on with it
 */
export async function finetune(given: FinetuneOptions): Promise<FinetuneReport> {
  const options: ResolvedOptions = { ...finetuneDefaults, signal: new AbortController().signal, ...given }
  const { out, device, seed, say, truncated } = options
  checkDevice(device)
  const model = join(out, "model")
  await checkModelDirectory(model)
  using _ = await lockFolder(out, "mobileclip finetune", options.signal)
  checkSource(options)
  await checkRun(out, options.resume)
  const own = await readOwnPictures(options.source, options)
  own.notes.forEach(say)
  const split = holdOut(own, { share: options.holdOut, seed, most: largestProbe })
  // Before a download.
  checkBatch(options.batchSize ?? 0, split)
  const start = await readStartModel(options.model, options.variant ?? null, options)
  const config = finetuneConfig(split.train.length, options, start.info.config, options.chunkSize)
  checkBatch(config.batchSize, split)
  say(`${start.source.file}: ${start.description}; ${oneLine(start.info.license)}`)
  say(splitText(split, own.classes?.names.length))

  const probe = await openProbe(split.heldOut, own.classes, start.info.preprocessing, truncated)
  const before = await scoreTensors(probe, start.info, start.tensors, device)
  const run = await tune({
    ...options,
    truncated,
    directory: out,
    start,
    patience: options.patience ?? patienceFor(config.steps),
    config,
    split,
    classes: own.classes,
    probe,
    before,
  })

  const best = await readBest(out)
  const candidates = await scoreAverages({ options, start, best, probe, before })
  const chosen = bestOf(candidates)
  const checkpoint = await writeChosen(out, start, best, chosen.alpha)
  const exported = { out: model, command: "mobileclip finetune", signal: options.signal }
  const { verification } = await exportCheckpoint(checkpoint, exported)
  const labels = own.classes && (await writeLabels(out, own.classes))
  const report: FinetuneReport = {
    ...{ start, probe, before, run, config, candidates, chosen, checkpoint, model, verification, labels },
    bestStep: best.samplesSeen / config.batchSize,
    pictures: {
      train: split.train.length,
      heldOut: probe.pictures.length,
      withoutCaption: own.withoutCaption,
      damaged: probe.damaged + run.damaged,
      cutOff: probe.cutOff + run.cutOff,
    },
    source: resolve(options.source),
  }
  await writeReport(out, report)
  return report
}

/** The lists of both parts are written into `out`, and must not replace a list of the user. */
function checkSource({ source, out }: Pick<FinetuneOptions, "source" | "out">): void {
  if (!Object.values(listFiles(out)).some((path) => resolve(path) === resolve(source))) return
  throw new UserError(`${source} would be both read and written`, "choose another folder for --out")
}

function checkBatch(batchSize: number, { train }: Split): void {
  if (batchSize <= train.length) return
  throw new UserError(
    `${train.length} pictures to train on do not fill a batch of ${batchSize}`,
    `choose a --batch-size of at most ${train.length}`,
  )
}

/** The names, one on each line, as `classify --labels-file` takes them. */
async function writeLabels(out: string, { names }: Classes): Promise<string> {
  const { labels } = listFiles(out)
  await writeAtomically(labels, [names.map((name) => `${name.replaceAll(/\s+/g, " ").trim()}\n`).join("")])
  return labels
}

function splitText({ train, heldOut }: Split, classes: number | undefined): string {
  const kind = classes === undefined ? "with captions of their own" : `of ${classes} classes`
  return `${train.length + heldOut.length} pictures ${kind}: ${train.length} to train on, ${heldOut.length} held out for the probe`
}

// ----------------------------------------------------------------------------------------------------- averages

/** The best state of the run. */
interface Best {
  readonly tensors: Tensors
  /** Pairs that the state was tuned on. */
  readonly samplesSeen: number
}

function readBest(out: string): Promise<Best> {
  return withCheckpoint(bestFile(out), async ({ model, info }) => ({
    tensors: new Map([...model.namedParameters()].map(([path, parameter]) => [path, parameter.read()])),
    samplesSeen: info.samplesSeen,
  }))
}

interface Averaging {
  readonly options: Pick<ResolvedOptions, "average" | "device">
  readonly start: StartModel
  readonly best: Best
  readonly probe: Probe
  readonly before: ProbeResult
}

async function scoreAverages({ options, start, best, probe, before }: Averaging): Promise<Candidate[]> {
  const { average, device } = options
  const candidates: Candidate[] = []
  for (const alpha of average === null ? averages : [average]) {
    const tensors = averaged(start.tensors, best.tensors, alpha)
    const result = alpha === 0 ? before : await scoreTensors(probe, start.info, tensors, device)
    candidates.push({ alpha, ...result })
  }
  return candidates
}

/** Replaces the run's last state: `model.safetensors` is the model to use. */
async function writeChosen(out: string, start: StartModel, best: Best, alpha: number): Promise<string> {
  const path = join(out, "model.safetensors")
  const samplesSeen = start.info.samplesSeen + best.samplesSeen
  await writeAtomically(path, modelChunks({ ...start.info, samplesSeen }, averaged(start.tensors, best.tensors, alpha)))
  return path
}
