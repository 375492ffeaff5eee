/** eval.json: every metric of the evaluation suite, its list of tasks, and the averages of the published results. */
import { readFileSync } from "node:fs"
import { cosines, l2Normalize, matchRanks } from "../../src/core/arrays/similarity.ts"
import type { Encoder } from "../../src/core/inference/encoder.ts"
import { labelVectors } from "../../src/core/text/prompts.ts"
import { associationAnswer, cuePrompt } from "../../src/evaluate/metrics/association.ts"
import { type AttributePredictions, faceMetrics } from "../../src/evaluate/metrics/attributes.ts"
import { captionAnswer } from "../../src/evaluate/metrics/caption-selection.ts"
import { groupMetrics } from "../../src/evaluate/metrics/groups.ts"
import type { Metrics } from "../../src/evaluate/metrics/metrics.ts"
import { averagePrecisions } from "../../src/evaluate/metrics/multilabel.ts"
import { bestClass, type Predictions, predictionsOf } from "../../src/evaluate/metrics/predictions.ts"
import { metricsOf } from "../../src/evaluate/metrics/task-metrics.ts"
import { groupAverages, officialAverage, taskGroups } from "../../src/evaluate/suite/averages.ts"
import { findPublished } from "../../src/evaluate/suite/published.ts"
import { suiteTasks } from "../../src/evaluate/suite/tasks.ts"
import { type Check, exact, mismatches } from "./check.ts"
import * as tolerances from "./tolerances.ts"

const { float32, float64 } = tolerances.evaluation

/** A task without main metric and groups. */
const plain = { mainMetric: null }

type Rows = readonly (readonly number[])[]

interface Classification {
  readonly logits: Rows
  readonly labels: readonly number[]
  readonly pred: readonly number[]
  readonly acc1: number
  readonly acc5: number | null
  readonly mean_per_class_recall: number
  readonly classes_without_true_samples: readonly number[]
}

interface Retrieval {
  readonly image_embeddings: Rows
  readonly text_embeddings: Rows
  readonly text_to_image_index: readonly number[]
  readonly metrics: Metrics
}

interface Grouped {
  readonly pred?: readonly number[]
  readonly pred_top5?: Rows
  readonly true: readonly number[]
  readonly metadata?: Rows
  readonly metrics: Metrics
}

interface EvalFile {
  readonly classification: Classification
  readonly classification_few_classes: Classification
  readonly multilabel: {
    readonly scores: Rows
    readonly targets: Rows
    readonly average_precision_per_class: readonly number[]
    readonly mean_average_precision: number
  }
  readonly zero_shot_classifier: {
    readonly text_embeddings_class_major: readonly Rows[]
    readonly weights: Rows
    readonly image_embeddings: Rows
    readonly logits: Rows
  }
  readonly retrieval: Retrieval
  readonly retrieval_uneven: Retrieval
  readonly image_caption_selection: {
    readonly image_embeddings: readonly Rows[]
    readonly text_embeddings: readonly Rows[]
    readonly metrics: Metrics
  }
  readonly iwildcam: Grouped
  readonly camelyon17: Grouped
  readonly fmow: Grouped
  readonly dollar_street: Grouped
  readonly geode: Grouped
  readonly fairface: {
    readonly pred_columns: readonly string[]
    readonly pred: Rows
    readonly metadata: Rows
    readonly metrics: Metrics
  }
  readonly winogavil: {
    readonly instances: readonly {
      readonly logits: readonly number[]
      readonly y_true: readonly number[]
      readonly jaccard: number
    }[]
    readonly metrics: Metrics
    readonly prompts: Readonly<Record<string, string>>
  }
  readonly tasks: Readonly<Record<string, Task>>
  readonly aggregate: {
    readonly groups: Readonly<Record<string, readonly string[]>>
    readonly from_apple_results_files: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
}

interface Task {
  readonly name: string
  readonly main_metric: string
  readonly size: number
  readonly num_classes: number | null
  readonly tags: readonly string[] | null
}

export async function* checkEval(file: string): AsyncIterable<Check> {
  const golden = JSON.parse(readFileSync(file, "utf8")) as EvalFile
  yield* checkClassification("classification", golden.classification)
  yield* checkClassification("few classes", golden.classification_few_classes)
  yield* checkMultilabel(golden.multilabel)
  yield* checkClassifier(golden.zero_shot_classifier)
  yield* checkRetrieval("retrieval", golden.retrieval)
  yield* checkRetrieval("retrieval, uneven", golden.retrieval_uneven)
  yield* checkCaptions(golden.image_caption_selection)
  for (const kind of ["iwildcam", "camelyon17", "fmow", "dollar_street", "geode"] as const)
    yield* checkGroups(kind, golden[kind])
  yield* checkFaces(golden.fairface)
  yield* checkAssociations(golden.winogavil)
  yield* checkTasks(golden.tasks)
  yield* checkAverages(golden.aggregate)
}

function* checkClassification(what: string, golden: Classification): Iterable<Check> {
  const classes = golden.logits[0]!.length
  const predictions = predictionsOf(matrix(golden.logits), classes, golden.labels)
  yield mismatches(`${what}: predictions`, differing(bestClass(predictions), golden.pred))
  const { acc1, acc5, mean_per_class_recall } = golden
  const answers = { kind: "classification", predictions, metadata: null } as const
  yield* checkMetrics(what, metricsOf(plain, answers), { acc1, acc5, mean_per_class_recall }, float64)
  const absent = [...Array(classes).keys()].filter((label) => !golden.labels.includes(label))
  yield exact(`${what}: classes without pictures`, differing(absent, golden.classes_without_true_samples) === 0)
}

function* checkMultilabel(golden: EvalFile["multilabel"]): Iterable<Check> {
  const classes = golden.scores[0]!.length
  const [scores, targets] = [matrix(golden.scores), Uint8Array.from(golden.targets.flat())]
  const each = averagePrecisions(scores, targets, classes)
  const error = maxError(each, golden.average_precision_per_class)
  yield { what: "multilabel: average precision of each class", error, tolerance: float32 }
  const expected = { mean_average_precision: golden.mean_average_precision }
  yield* checkMetrics("multilabel", metricsOf(plain, { kind: "multilabel", scores, targets, classes }), expected)
}

async function* checkClassifier(golden: EvalFile["zero_shot_classifier"]): AsyncIterable<Check> {
  const classes = golden.text_embeddings_class_major
  const [templates, width] = [classes[0]!.length, classes[0]![0]!.length]
  // The prompt "class template" is encoded as the vector of that class and template.
  const vectorOf = (text: string) => {
    const [label, template] = text.split(" ").map(Number)
    return classes[label!]![template!]!
  }
  const encoder: Encoder = {
    embedDim: width,
    encodeImages: async () => new Float32Array(0),
    encodeTexts: async (texts) => matrix(texts.map(vectorOf)),
  }
  const prompts = Array.from({ length: templates }, (_, template) => `{c} ${template}`)
  const weights = await labelVectors(encoder, [...classes.keys()].map(String), prompts)
  // The reference's weights are [width, classes].
  const transposed = golden.weights[0]!.flatMap((_, label) => golden.weights.map((row) => row[label]!))
  yield { what: "classifier: weights", error: maxError(weights, transposed), tolerance: tolerances.evaluation.vectors }
  const images = l2Normalize(matrix(golden.image_embeddings), width)
  const logits = cosines(images, weights, width).map((cosine) => 100 * cosine)
  const error = maxError(logits, golden.logits.flat())
  yield { what: "classifier: logits", error, tolerance: 100 * tolerances.evaluation.vectors }
}

function* checkRetrieval(what: string, golden: Retrieval): Iterable<Check> {
  const width = golden.image_embeddings[0]!.length
  const [images, texts] = [golden.image_embeddings, golden.text_embeddings].map((rows) =>
    l2Normalize(matrix(rows), width),
  )
  const ranks = matchRanks(images!, texts!, width, golden.text_to_image_index)
  yield* checkMetrics(what, metricsOf(plain, { kind: "retrieval", ranks }), golden.metrics)
}

function* checkCaptions(golden: EvalFile["image_caption_selection"]): Iterable<Check> {
  const answers = golden.image_embeddings.map((images, i) => {
    const texts = golden.text_embeddings[i]!
    const width = images[0]!.length
    const [left, right] = [images, texts].map((rows) => l2Normalize(matrix(rows), width))
    return captionAnswer(cosines(left!, right!, width), texts.length)
  })
  yield* checkMetrics("caption selection", metricsOf(plain, { kind: "caption-selection", answers }), golden.metrics)
}

function* checkGroups(kind: Parameters<typeof groupMetrics>[0], golden: Grouped): Iterable<Check> {
  const best = golden.pred_top5 ?? golden.pred!.map((predicted) => [predicted])
  const predictions: Predictions = {
    classes: Math.max(...golden.true, ...best.flat()) + 1,
    labels: Int32Array.from(golden.true),
    best: Int32Array.from(best.flat()),
    kept: best[0]!.length,
  }
  const { acc_worst_region_without_other: added, ...metrics } = groupMetrics(kind, predictions, golden.metadata ?? null)
  yield exact(`${kind}: names in their order`, differing(Object.keys(metrics), Object.keys(golden.metrics)) === 0)
  yield* checkMetrics(kind, metrics, golden.metrics)
  if (added === undefined) return
  const regions = [0, 1, 2, 3, 4].map((region) => golden.metrics[`acc_region:${region}`]!)
  const error = Math.abs(added! - Math.min(...regions))
  yield { what: `${kind}: worst region but the sixth`, error, tolerance: float32 }
}

function* checkFaces(golden: EvalFile["fairface"]): Iterable<Check> {
  const columns = golden.pred_columns.map((name, column) => [name, Int32Array.from(golden.pred, (row) => row[column]!)])
  const metrics = faceMetrics(Object.fromEntries(columns) as AttributePredictions, golden.metadata)
  yield exact("fairface: names in their order", differing(Object.keys(metrics), Object.keys(golden.metrics)) === 0)
  yield* checkMetrics("fairface", metrics, golden.metrics)
}

function* checkAssociations(golden: EvalFile["winogavil"]): Iterable<Check> {
  const answers = golden.instances.map(({ logits, y_true }) =>
    associationAnswer(
      Float32Array.from(logits),
      y_true.map((belongs) => belongs === 1),
    ),
  )
  const jaccard = answers.map((answer) => answer.jaccard)
  const error = maxError(
    jaccard,
    golden.instances.map((instance) => instance.jaccard),
  )
  yield { what: "winogavil: instances", error, tolerance: float64 }
  yield* checkMetrics("winogavil", metricsOf(plain, { kind: "association", answers }), golden.metrics, float64)
  const prompts = Object.entries(golden.prompts)
  yield mismatches("winogavil: prompts", prompts.filter(([cue, prompt]) => cuePrompt(cue) !== prompt).length)
}

function* checkTasks(golden: EvalFile["tasks"]): Iterable<Check> {
  const keys = suiteTasks.map(({ key }) => key)
  yield exact("tasks: keys in their order", differing(keys, Object.keys(golden)) === 0)
  const wrong = suiteTasks.filter((task) => {
    const { name, main_metric, size, num_classes } = golden[task.key]!
    // The file's default is acc1, which faces do not have.
    const main = task.kind === "attributes" ? "acc1" : task.mainMetric
    return name !== task.name || main !== main_metric || size !== task.size || num_classes !== task.classes
  })
  yield mismatches("tasks: names, main metrics, sizes, classes", wrong.length)
}

function* checkAverages(golden: EvalFile["aggregate"]): Iterable<Check> {
  const names = new Map(suiteTasks.map(({ key, name }) => [key, name]))
  for (const [name, members] of Object.entries(golden.groups)) {
    const own = taskGroups.find((group) => group.name === name)!.keys.map((key) => names.get(key)!)
    yield exact(`groups: ${name}`, differing(own.toSorted(), members.toSorted()) === 0)
  }
  for (const [file, expected] of Object.entries(golden.from_apple_results_files)) {
    const { results } = findPublished(file.replace(".jsonl", ""))!
    const averages = groupAverages(results)
    const ours = Object.fromEntries(averages.map(({ group, average }) => [group.name, average]))
    const groups = Object.entries(expected).filter(([name]) => Object.hasOwn(ours, name)) as [string, number][]
    yield* checkMetrics(file, ours, Object.fromEntries(groups), float64)
    const counted = averages.find(({ group }) => group.name === officialAverage)!.group.keys.length
    yield exact(`${file}: tasks averaged`, counted === expected.n)
    const further = results.filter(({ key }) => !names.has(key)).map(({ dataset }) => dataset)
    const listed = expected.datasets_in_file_outside_datacomp_tasklist as string[]
    yield exact(`${file}: further tasks`, differing(further.toSorted(), listed.toSorted()) === 0)
  }
}

/** The largest error over all of `expected`, one check. */
function* checkMetrics(what: string, ours: Metrics, expected: Metrics, tolerance: number = float32): Iterable<Check> {
  const errors = Object.entries(expected).map(([name, value]) => {
    const own = ours[name]
    if (own === undefined || own === null || value === null) return own === value ? 0 : Number.POSITIVE_INFINITY
    return Math.abs(own - value)
  })
  const error = errors.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...errors)
  yield { what: `${what}: ${errors.length} metrics`, error, tolerance }
}

function differing<T>(ours: ArrayLike<T>, expected: ArrayLike<T>): number {
  const longer = Math.max(ours.length, expected.length)
  return Array.from({ length: longer }, (_, i) => ours[i] === expected[i]).filter((equal) => !equal).length
}

function maxError(ours: ArrayLike<number>, expected: readonly number[]): number {
  if (ours.length !== expected.length) return Number.POSITIVE_INFINITY
  return expected.reduce((max, value, i) => Math.max(max, Math.abs(value - ours[i]!)), 0)
}

function matrix(rows: Rows): Float32Array {
  return Float32Array.from(rows.flat())
}
