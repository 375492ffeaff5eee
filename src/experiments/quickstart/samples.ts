/**
 * Some test pictures, which are written as JPEG files for the user to classify, and classified for the report: with the labels
 * that the student is good at, as the first command does. The pictures had no part in the choice of these.
 */
import { join } from "node:path"
import { COLOURS, namesOf, SHAPES } from "../../data/scenes/attributes.ts"
import type { Scene } from "../../evaluate/scenes.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { decodeImage } from "../../host/image/images.ts"
import { createClassifier } from "../../run/labels/classify.ts"
import type { Model } from "../../run/model.ts"
import type { ReportPicture } from "./report-data.ts"
import { halvesOf, rightLabel, type SuggestedLabels } from "./suggested-labels.ts"

const count = 24
/** Those among them that show one of the labels, where the others have a label too. */
const countNamed = 18
const shown = 4

/** What is asked about the pictures. */
interface Asked {
  readonly labels: readonly string[]
  readonly templates: readonly string[]
  rightOf(scene: Scene["record"]): string
}

/** "red star" for every colour and shape. */
const everything: Asked = {
  labels: namesOf(COLOURS).flatMap((colour) => namesOf(SHAPES).map((shape) => `${colour} ${shape}`)),
  templates: ["a {}", "a large {}"],
  rightOf: nameOf,
}

function askedOf(suggestion: SuggestedLabels | null): Asked {
  if (suggestion === null) return everything
  const { labels, none, template } = suggestion
  return {
    labels: none === null ? labels : [...labels, none],
    templates: [template],
    rightOf: (scene) => rightLabel(suggestion, scene)!,
  }
}

/**
 * Pictures of one object, spread over those that had no part in the choice of labels, whatever the student says about them: where
 * not every picture shows one of the labels, a quarter that shows none, or only such ones where there is no label for the others.
 */
export function samplesOf(scenes: readonly Scene[], suggestion: SuggestedLabels | null): Scene[] {
  const [, measure] = halvesOf(scenes)
  if (suggestion === null) return spread(measure, count)
  const isNamed = ({ record }: Scene) => suggestion.labels.includes(rightLabel(suggestion, record) ?? "")
  const [named, others] = [measure.filter(isNamed), measure.filter((scene) => !isNamed(scene))]
  if (suggestion.none === null) return spread(named, count)
  return [...spread(named, countNamed), ...spread(others, count - countNamed)]
}

function spread(scenes: readonly Scene[], most: number): Scene[] {
  const length = Math.min(most, scenes.length)
  return Array.from({ length }, (_, i) => scenes[Math.floor((i * scenes.length) / length)]!)
}

/** `<folder>/red-star-3.jpg`, ... */
export async function writeSamples(folder: string, samples: readonly Scene[]): Promise<void> {
  await makeDirectory(folder)
  for (const [i, { jpeg, record }] of samples.entries()) {
    await writeAtomically(join(folder, `${nameOf(record).replaceAll(" ", "-")}-${i}.jpg`), [jpeg])
  }
}

export async function classifySamples(
  model: Model,
  samples: readonly Scene[],
  suggestion: SuggestedLabels | null,
): Promise<ReportPicture[]> {
  const { labels, templates, rightOf } = askedOf(suggestion)
  const images = await Promise.all(samples.map(({ jpeg }) => decodeImage(jpeg)))
  const classifier = await createClassifier(model, labels, templates)
  const results = await classifier.classify(images)
  return samples.map(({ jpeg, record }, i) => ({
    jpeg,
    caption: record.caption,
    predictions: results[i]!.slice(0, shown).map(({ label, score }) => ({ label, probability: score })),
    truth: [rightOf(record)],
  }))
}

function nameOf({ objects }: Scene["record"]): string {
  return `${objects[0]!.colour} ${objects[0]!.shape}`
}
