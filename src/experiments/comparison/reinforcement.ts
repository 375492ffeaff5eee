/** The real stages of data generation on the students' pictures: captions, then views and embeddings. */
import { join } from "node:path"
import type { ProgressMode } from "../../cli/progress.ts"
import { commandLine, runStage, type StageContext } from "./stage.ts"

export interface ReinforcementRecipe {
  /** Synthetic captions of each picture. */
  readonly captions: number
  /** As `--generation-type` takes it. */
  readonly generationType: "greedy" | "top_p"
  /** Augmented views of each picture. */
  readonly views: number
  /** As `--aug-config` takes it. */
  readonly augmentation: object
}

export interface Knowledge {
  /** A CoCa's checkpoint. */
  readonly captioner: string
  /** CLIP checkpoints. */
  readonly teachers: readonly string[]
}

export interface ReinforcementContext extends StageContext {
  /** `captioned/` and `reinforced/` are made in it. */
  readonly out: string
  readonly seed: number
  readonly threads: number
  readonly progress: ProgressMode
}

export interface Reinforcement {
  /** Shards as `--train-data` takes them. */
  readonly shards: string
  /** What was run, to be shown. */
  readonly commands: readonly string[]
}

/** @param input the shards to reinforce */
export async function reinforce(
  input: string,
  { captioner, teachers }: Knowledge,
  recipe: ReinforcementRecipe,
  context: ReinforcementContext,
): Promise<Reinforcement> {
  const { captions, generationType, views, augmentation } = recipe
  const { out, seed, threads, progress } = context
  const [captioned, reinforced] = [join(out, "captioned"), join(out, "reinforced")]
  const shared = argvOf({ seed, threads, "augment-threads": 1, progress })
  const tensors = { runtime: "libtorch", "batch-size": 64 }
  const captioning = [
    ...argvOf({ input, output: captioned, "model-name": captioner, "num-samples": captions }),
    ...argvOf({ "generation-type": generationType, "seq-len": 32, ...tensors }),
    ...shared,
  ]
  const embedding = [
    ...argvOf({ input: captioned, output: reinforced, "model-name": teachers.join(","), "num-samples": views }),
    ...argvOf({ "aug-config": JSON.stringify(augmentation), ...tensors }),
    ...shared,
  ]
  await runStage("caption", captioning, context)
  await runStage("embed", embedding, context)
  return {
    shards: reinforced,
    commands: [commandLine("caption", captioning), commandLine("embed", embedding)],
  }
}

/** As they are typed, in this order. */
function argvOf(options: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
}
