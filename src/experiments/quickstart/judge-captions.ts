/** How true the captioner is of scenes. */
import { expandShards } from "../../data/expand.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import { type CaptionAccuracy, captionAccuracy } from "../../data/scenes/caption-accuracy.ts"
import { type SceneRecord, sceneOf } from "../../data/scenes/record.ts"

/** Of the synthetic captions of shards of scenes. */
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
