/** What the comparison found, as `report.json` and `report.html` (one file, needs no network). */
import { join } from "node:path"
import { expandShards } from "../../data/expand.ts"
import { metadataOf, readShard } from "../../data/shards.ts"
import type { CurvePoint, LearningCurve, Spread } from "../../evaluate/efficiency.ts"
import { writeAtomically } from "../../host/files.ts"
import type { Machine } from "../quickstart/machine.ts"
import type { CaptionMix } from "./captions.ts"
import { cifar10Page } from "./report-page.ts"

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
  /** Over the seeds: samples that plain training needs for its best, over those of reinforced training. */
  readonly efficiencyRatio: Spread
  /** Of the first student of each kind. */
  readonly samplesPerSecond: { readonly plain: number; readonly reinforced: number }
  readonly teachers: readonly (CurvePoint & { readonly name: string })[]
  readonly stages: readonly { readonly name: string; readonly seconds: number }[]
  readonly machine: Machine
  readonly versions: { readonly mobileclip: string; readonly libtorch: string }
  /** How the pictures were reinforced. */
  readonly reinforceCommand: string
}

/** A picture as students have it. */
export interface CaptionExample {
  readonly jpeg: Uint8Array
  readonly caption: string
  readonly label: string
  readonly kind: string
}

const examples = 20

/** The first pictures of shards of careless captions. */
export async function captionExamples(shards: string): Promise<CaptionExample[]> {
  const found: CaptionExample[] = []
  const [first] = await expandShards(shards)
  for await (const sample of readShard(first!)) {
    const { label, kind } = metadataOf(sample, sample.key) as { label: string; kind: string }
    const jpeg = sample.members.get("jpg")
    if (jpeg) found.push({ jpeg, label, kind, caption: new TextDecoder().decode(sample.members.get("txt")) })
    if (found.length === examples) break
  }
  return found
}

/** Writes both files into `directory`, which must exist. */
export async function writeCifar10Report(
  directory: string,
  report: Cifar10Report,
  pictures: readonly CaptionExample[],
): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await cifar10Page(report, pictures)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(report, null, 2)}\n`])
}
