/**
 * All metrics of a task, under the names of published result files. Group averages are exact quotients: the published ones
 * are the same rounded to float32, within 6e-8.
 */
import type { MatchRanks } from "../../core/arrays/similarity.ts"
import type { SuiteTask } from "../suite/suite-task.ts"
import { type AssociationAnswer, associationMetrics } from "./association.ts"
import { type AttributePredictions, faceMetrics } from "./attributes.ts"
import { type CaptionAnswer, captionSelectionMetrics } from "./caption-selection.ts"
import { classificationMetrics } from "./classification.ts"
import { groupMetrics, type Metadata } from "./groups.ts"
import type { Metrics } from "./metrics.ts"
import { meanAveragePrecision } from "./multilabel.ts"
import { hitsAt, type Predictions } from "./predictions.ts"
import { retrievalMetrics } from "./retrieval.ts"

/** What a model answered, by kind of task. */
export type TaskAnswers =
  | { readonly kind: "classification"; readonly predictions: Predictions; readonly metadata: Metadata | null }
  | { readonly kind: "attributes"; readonly predictions: AttributePredictions; readonly metadata: Metadata }
  | {
      readonly kind: "multilabel"
      /** [N, classes] */
      readonly scores: Float32Array
      /** 0 or 1, [N, classes] */
      readonly targets: Uint8Array
      readonly classes: number
    }
  | { readonly kind: "retrieval"; readonly ranks: MatchRanks }
  | { readonly kind: "caption-selection"; readonly answers: readonly CaptionAnswer[] }
  | { readonly kind: "association"; readonly answers: readonly AssociationAnswer[] }

/**
 * All metrics of `task`, then its main one as `main_metric`, null where it has none.
 * @throws UserError where metadata of groups are missing or out of range
 */
export function metricsOf(task: Pick<SuiteTask, "mainMetric" | "groupMetrics">, answers: TaskAnswers): Metrics {
  const metrics = allMetrics(task, answers)
  return { ...metrics, main_metric: task.mainMetric === null ? null : (metrics[task.mainMetric] ?? null) }
}

/** For each picture 1 where the main metric counts it as right, else 0: top-5 for Dollar Street, top-1 elsewhere. */
export function rightAnswers({ mainMetric }: Pick<SuiteTask, "mainMetric">, predictions: Predictions): Uint8Array {
  return hitsAt(predictions, mainMetric?.startsWith("acc_top5") ? 5 : 1)
}

function allMetrics({ groupMetrics: groups }: Pick<SuiteTask, "groupMetrics">, answers: TaskAnswers): Metrics {
  switch (answers.kind) {
    case "classification": {
      const metrics = classificationMetrics(answers.predictions)
      return groups && groups !== "fairface"
        ? { ...metrics, ...groupMetrics(groups, answers.predictions, answers.metadata) }
        : metrics
    }
    case "attributes":
      return faceMetrics(answers.predictions, answers.metadata)
    case "multilabel":
      return { mean_average_precision: meanAveragePrecision(answers.scores, answers.targets, answers.classes) }
    case "retrieval":
      return retrievalMetrics(answers.ranks)
    case "caption-selection":
      return captionSelectionMetrics(answers.answers)
    case "association":
      return associationMetrics(answers.answers)
    default:
      return answers satisfies never
  }
}
