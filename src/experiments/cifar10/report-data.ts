/** The results of the comparison, and example pictures. */
import { expandShards } from "../../data/expand.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import type { EncodedImage } from "../../data/reinforced/sample.ts"
import type { CurvePoint, LearningCurve, LearningEfficiency } from "../../evaluate/efficiency.ts"
import type { Machine } from "../../report/machine.ts"
import { type CaptionKind, type CaptionMix, isTrue } from "./captions.ts"
import type { ClassName } from "./classes.ts"
import type { SubsetResults } from "./subsets.ts"

export interface Cifar10Report {
  /** Wall time of the whole run. */
  readonly seconds: number
  readonly pictures: {
    readonly unique: number
    readonly precise: number
    readonly test: number
  }
  readonly captions: CaptionMix
  /** Pairs that each student was trained on, repeats counted. */
  readonly samplesSeen: number
  /** Zero-shot accuracy along the way, for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** The accuracy of guessing. */
  readonly guessing: number
  /** What plain training needs over what reinforced training needs to be as good, with its spread over the seeds. */
  readonly efficiency: LearningEfficiency
  /** Students of fewer different pictures, then those of all; empty where that was not asked for. */
  readonly subsets: readonly Omit<SubsetResults, "earlierSeconds">[]
  /** Rates of the first student of each kind. */
  readonly samplesPerSecond: { readonly plain: number; readonly reinforced: number }
  readonly teachers: readonly (CurvePoint & { readonly name: string })[]
  /** `trueCaptions`: the share of its captions for the students' pictures that name the class and no other. */
  readonly captioner: CurvePoint & { readonly trueCaptions: number }
  readonly stages: readonly { readonly name: string; readonly seconds: number }[]
  readonly machine: Machine
  readonly versions: { readonly mobileclip: string; readonly libtorch: string }
  /** How the pictures were reinforced. */
  readonly reinforceCommands: readonly string[]
}

/** A picture of the students' data. */
export interface CaptionExample {
  readonly picture: EncodedImage
  readonly caption: string
  readonly kind: CaptionKind
  readonly syntheticCaption: string
  readonly label: ClassName
}

const examples = 20

/** The first pictures of reinforced shards. */
export async function captionExamples(shards: string): Promise<CaptionExample[]> {
  const found: CaptionExample[] = []
  for await (const example of readExamples(shards)) {
    found.push(example)
    if (found.length === examples) break
  }
  return found
}

export async function shareOfTrueCaptions(shards: string): Promise<number> {
  let [count, trueOnes] = [0, 0]
  for await (const { syntheticCaption, label } of readExamples(shards)) {
    count += 1
    if (isTrue(syntheticCaption, label)) trueOnes += 1
  }
  return trueOnes / count
}

async function* readExamples(shards: string): AsyncGenerator<CaptionExample> {
  for (const shard of await expandShards(shards)) {
    for await (const { image, texts, synTexts, fields } of readSamples(shard, () => {})) {
      const { label, kind } = fields as Pick<CaptionExample, "label" | "kind">
      const [syntheticCaption = ""] = [...synTexts.values()].flat()
      if (image) yield { picture: image, caption: texts[0] ?? "", kind, syntheticCaption, label }
    }
  }
}
