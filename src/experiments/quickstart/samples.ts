/** Some test pictures, which are written as JPEG files for the user to classify, and classified for the report. */
import { join } from "node:path"
import { COLOURS, namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import type { Scene } from "../../evaluate/scenes.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { decodeImage } from "../../host/image/images.ts"
import { createClassifier } from "../../run/labels/classify.ts"
import type { Model } from "../../run/model.ts"
import type { ReportPicture } from "./report-data.ts"

const count = 24
const shown = 4
/** "a red star" for every colour and shape. */
const labels = namesOf(COLOURS).flatMap((colour) => namesOf(SHAPES).map((shape) => `${colour} ${shape}`))

/** `<folder>/red-star-3.jpg`, ... */
export async function writeSamples(folder: string, scenes: readonly Scene[]): Promise<void> {
  await makeDirectory(folder)
  for (const [i, { jpeg, record }] of samplesOf(scenes).entries()) {
    await writeAtomically(join(folder, `${truthOf(record).replaceAll(" ", "-")}-${i}.jpg`), [jpeg])
  }
}

export async function classifySamples(model: Model, scenes: readonly Scene[]): Promise<ReportPicture[]> {
  const samples = samplesOf(scenes)
  const images = await Promise.all(samples.map(({ jpeg }) => decodeImage(jpeg)))
  const classifier = await createClassifier(model, labels, ["a {}", "a large {}"])
  const results = await classifier.classify(images)
  return samples.map(({ jpeg, record }, i) => ({
    jpeg,
    caption: record.caption,
    predictions: results[i]!.slice(0, shown).map(({ label, score }) => ({ label, probability: score })),
    truth: [truthOf(record)],
  }))
}

/** Pictures of one object, spread over the split. */
function samplesOf(scenes: readonly Scene[]): Scene[] {
  const single = scenes.filter(({ record }) => record.layout === "single")
  return Array.from(
    { length: Math.min(count, single.length) },
    (_, i) => single[Math.floor((i * single.length) / count)]!,
  )
}

function truthOf({ objects }: Scene["record"]): string {
  return `${objects[0]!.colour} ${objects[0]!.shape}`
}
