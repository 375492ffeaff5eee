/** The real stages of data generation on the noisy pictures: captions, then views and embeddings. */
import { join } from "node:path"
import { expandShards } from "../../data/expand.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import { type CaptionAccuracy, captionAccuracy } from "../../data/scenes/caption-accuracy.ts"
import { type SceneRecord, sceneOf } from "../../data/scenes/record.ts"
import { commandLine, runStage } from "../comparison/stage.ts"
import type { QuickstartOptions } from "./options.ts"

export interface Reinforcement {
  /** Shards as `--train-data` takes them. */
  readonly shards: string
  /** What was run, to be shown. */
  readonly commands: readonly string[]
}

/** @param noisy the shards to reinforce */
export async function reinforce(
  noisy: string,
  captioner: string,
  teachers: readonly string[],
  options: QuickstartOptions,
): Promise<Reinforcement> {
  const { captions, generationType, views, augmentation } = options.recipe.reinforcement
  const [captioned, reinforced] = [join(options.out, "captioned"), join(options.out, "reinforced")]
  const { seed, threads, progress } = options
  const shared = argvOf({ seed, threads, "augment-threads": 1, progress })
  const tensors = { runtime: "libtorch", "batch-size": 64 }
  const captioning = [
    ...argvOf({ input: noisy, output: captioned, "model-name": captioner, "num-samples": captions }),
    ...argvOf({ "generation-type": generationType, "seq-len": 32, ...tensors }),
    ...shared,
  ]
  const embedding = [
    ...argvOf({ input: captioned, output: reinforced, "model-name": teachers.join(","), "num-samples": views }),
    ...argvOf({ "aug-config": JSON.stringify(augmentation), ...tensors }),
    ...shared,
  ]
  await runStage("caption", captioning, options)
  await runStage("embed", embedding, options)
  return {
    shards: reinforced,
    commands: [commandLine("caption", captioning), commandLine("embed", embedding)],
  }
}

/** As they are typed, in this order. */
function argvOf(options: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
}

/** How true the synthetic captions of shards of scenes are. */
export async function judgeCaptions(shards: string): Promise<CaptionAccuracy> {
  const scenes: SceneRecord[] = []
  const captions: string[] = []
  for (const shard of await expandShards(shards)) {
    for await (const sample of readSamples(shard, () => {})) {
      const scene = sceneOf(sample.fields, `${shard}: ${sample.key}`)
      for (const caption of [...sample.synTexts.values()].flat()) {
        scenes.push(scene)
        captions.push(caption)
      }
    }
  }
  const judged = Object.entries(captionAccuracy(scenes, captions))
  // Captions of which none says anything about, say, colour are not right about it.
  const shares = judged.map(([what, share]) => [what, Number.isNaN(share) ? 0 : share])
  const { average: _, ...parts } = Object.fromEntries(shares) as unknown as CaptionAccuracy
  const values = Object.values(parts)
  return { ...parts, average: values.reduce((sum, share) => sum + share, 0) / values.length }
}
