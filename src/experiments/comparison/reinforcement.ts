/** Reinforces the students' pictures by the real stages of data generation: captions, then views and embeddings. */
import { join } from "node:path"
import type { StartProgress } from "../../core/progress.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { expandShards } from "../../data/expand.ts"
import { defaultFormat, defaultMinImageSize, type Job } from "../../reinforce/job/job.ts"
import { planShards } from "../../reinforce/job/plan.ts"
import { augmentationOf, captionJob, embeddingJob } from "../../reinforce/job/stage-jobs.ts"
import { reinforceLocally } from "../../reinforce/local/local.ts"
import type { ResourceRequest } from "../../reinforce/local/resources.ts"
import { requireComplete } from "../../reinforce/local/run-shards.ts"

export interface ReinforcementRecipe {
  /** Synthetic captions for each picture. */
  readonly captions: number
  /** How captions are drawn. */
  readonly generationType: "greedy" | "top_p"
  /** Augmented views for each picture. */
  readonly views: number
  /** Share of a picture's area that a crop shows: of the views, and of the plain student's pictures, so that both see the same. */
  readonly cropScale: readonly [number, number]
}

interface TeacherCheckpoints {
  /** A CoCa's checkpoint. */
  readonly captioner: string
  /** CLIP checkpoints. */
  readonly teachers: readonly string[]
}

export interface ReinforcementContext {
  /** The folder in which `captioned/` and `reinforced/` are written. */
  readonly out: string
  readonly seed: number
  readonly threads: number
  readonly startProgress: StartProgress
  /** Gets one line about what happens now. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

export interface Reinforcement {
  /** Shards as `--train-data` takes them. */
  readonly shards: string
  /** The commands that do the same. */
  readonly commands: readonly string[]
}

/** @param input the shards to reinforce */
export async function reinforce(
  input: string,
  { captioner, teachers }: TeacherCheckpoints,
  recipe: ReinforcementRecipe,
  context: ReinforcementContext,
): Promise<Reinforcement> {
  const { captions, generationType, views, cropScale } = recipe
  const { out, seed, threads } = context
  const [captioned, reinforced] = [join(out, "captioned"), join(out, "reinforced")]
  const resources = await resourcesOf(input, threads)
  const captioning = { modelName: captioner, numSamples: captions, generationType, seqLen: 32 }
  const embedding = { modelName: teachers.join(","), numSamples: views }
  const config = JSON.stringify({ random_resized_crop: { scale: cropScale } })
  await runStage(captionJob(captioning), input, captioned, resources, context)
  const request = { ...embedding, augmentation: augmentationOf(config, "the recipe") }
  await runStage(embeddingJob(request), captioned, reinforced, resources, context)
  return {
    shards: reinforced,
    commands: [
      commandOf("caption", { input, output: captioned, ...captioning, ...resources, seed }),
      commandOf("embed", { input: captioned, output: reinforced, ...embedding, augConfig: config, ...resources, seed }),
    ],
  }
}

/**
 * A process for each thread, because small models leave a second thread idle: two with one thread each caption faster than one
 * with two (docs/log.md). Each augments by itself, because threads for that would take its models' time.
 */
async function resourcesOf(input: string, threads: number) {
  const workers = Math.min(threads, (await expandShards([input])).length)
  const common = { runtime: "libtorch", batchSize: 64, augmentThreads: 0 } as const
  return { ...common, workers, threads: Math.floor(threads / workers) }
}

async function runStage(
  stage: Job["stage"],
  input: string,
  output: string,
  resources: ResourceRequest,
  { seed, say, ...context }: ReinforcementContext,
): Promise<void> {
  const job: Job = { stage, format: defaultFormat, seed, minImageSize: defaultMinImageSize }
  const tasks = planShards(await expandShards([input]), output, job.format)
  const outcome = await reinforceLocally(job, output, tasks, { ...resources, ...context, onNote: say })
  // A stage that a signal stopped is not an error, and the next one has nothing to read.
  context.signal.throwIfAborted()
  requireComplete(outcome, output)
}

/** The names of the options are those of the flags, in camelCase. */
function commandOf(stage: string, options: Readonly<Record<string, string | number>>): string {
  const words = Object.entries(options).flatMap(([name, value]) => [
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    String(value),
  ])
  return commandLine(["npx", "mobileclip", "reinforce", stage, ...words])
}
