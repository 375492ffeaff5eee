/** Results in the shapes that other tools read: a file of JSON for each task. */
import { join } from "node:path"
import type { Metrics } from "../../evaluate/metrics/metrics.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import type { ModelResults } from "./evaluate.ts"
import type { TaskResult } from "./task-result.ts"

/** `jsonl` is the shape of the published result files, and what a run's folder has in any case. */
export const resultFormats = ["jsonl", "clip_benchmark", "mteb"] as const

export type ResultFormat = (typeof resultFormats)[number]

export interface FormattedResult {
  /** That of its file. */
  readonly name: string
  readonly content: object
}

/** What CLIP_benchmark calls the kinds. */
const clipTasks: Readonly<Record<string, string>> = {
  retrieval: "zeroshot_retrieval",
  "caption-selection": "image_caption_selection",
  "linear-probe": "linear_probe",
  "few-shot": "linear_probe",
}

/** As `clip_benchmark eval` writes it: `<dataset>_<pretrained>_<model>_en_<task>.json`. */
export function clipBenchmarkResult({ key, metrics, details }: TaskResult, model: string): FormattedResult {
  const task = clipTasks[details?.kind ?? ""] ?? "zeroshot_classification"
  const { main_metric: _, ...own } = metrics
  const content = { dataset: `wds/${key}`, model, pretrained: "", task, metrics: own, language: "en" }
  return { name: `${fileName(key)}__${fileName(model)}_en_${task}.json`, content }
}

/**
 * As mteb writes a task's result. Names of tasks are this suite's: mteb's own tasks have other prompts, so that their
 * numbers are not the same.
 */
export function mtebResult({ key, metrics, details }: TaskResult): FormattedResult {
  const { main_metric, ...own } = metrics
  const scores = {
    ...accuracyIn(metrics),
    ...own,
    main_score: main_metric ?? null,
    hf_subset: "default",
    languages: ["eng-Latn"],
  }
  const content = {
    ...{ dataset_revision: "unknown", task_name: key, mteb_version: null, scores: { test: [scores] } },
    ...{ evaluation_time: details?.seconds ?? null, kg_co2_emissions: null },
  }
  return { name: `${fileName(key)}.json`, content }
}

export function formatted(format: Exclude<ResultFormat, "jsonl">, result: TaskResult, model: string): FormattedResult {
  return format === "mteb" ? mtebResult(result) : clipBenchmarkResult(result, model)
}

/** Writes a file for each result, to a folder beside `results.jsonl` that has the format's name. Returns the folders. */
export async function writeFormatted(
  format: Exclude<ResultFormat, "jsonl">,
  models: readonly ModelResults[],
): Promise<string[]> {
  const folders: string[] = []
  for (const { folder, name: model, results } of models) {
    if (folder === null) continue
    const target = join(folder, format)
    await makeDirectory(target)
    for (const result of results) {
      const { name, content } = formatted(format, result, model)
      await writeAtomically(join(target, name), [`${JSON.stringify(content, null, 2)}\n`])
    }
    folders.push(target)
  }
  return folders
}

/** mteb's name for the top-1 accuracy. */
function accuracyIn({ acc1 }: Metrics): Metrics {
  return acc1 === undefined ? {} : { accuracy: acc1 }
}

function fileName(text: string): string {
  return text.replaceAll(/[^\w.@+-]+/g, "_")
}
