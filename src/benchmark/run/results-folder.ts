/**
 * Where a run leaves one model's results: `results.jsonl`, a line for each task in the order in which they were done, in the
 * shape of the published files; `answers/<key>.npy`; and `evaluation.json`, which says what the results are of.
 */
import { existsSync } from "node:fs"
import { open, readFile, truncate } from "node:fs/promises"
import { join } from "node:path"
import { messageOf, quoted, UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { fileError } from "../../host/files/file-error.ts"
import { makeDirectory, readJson, writeAtomically } from "../../host/files/files.ts"
import type { AnswerTable } from "./answer-table.ts"
import type { ModelFacts } from "./evaluated-model.ts"
import type { TaskResult } from "./task-result.ts"

export const resultsFile = "results.jsonl"
export const evaluationFile = "evaluation.json"

/** What decides results beside the model and the data. A field that is not there is as the data have it. */
export interface EvaluationSettings {
  readonly templates?: readonly string[]
  readonly classNames?: readonly string[]
  readonly picturesPerTask?: number
}

/** The content of `evaluation.json`. */
export interface EvaluationFile {
  readonly format: "mobileclip-evaluation"
  readonly version: 1
  readonly model: { readonly name: string; readonly identity: string } & ModelFacts
  /** The root of the data: an absolute path or a URL. */
  readonly data: string
  readonly suite: string
  readonly settings: EvaluationSettings
}

export class ResultsFolder {
  private constructor(
    readonly path: string,
    private readonly results: TaskResult[],
  ) {}

  /**
   * The folder of results so far. A line that was cut off is removed, and its task is done again. A folder without results
   * belongs to nobody.
   *
   * @throws UserError where it holds results of another model, other data or other settings, or something else
   */
  static async open(path: string, evaluation: EvaluationFile): Promise<ResultsFolder> {
    const results = await readWholeLines(join(path, resultsFile))
    if (results.length > 0) await requireSame(path, evaluation)
    await makeDirectory(join(path, "answers"))
    await writeAtomically(join(path, evaluationFile), [`${JSON.stringify(evaluation, null, 2)}\n`])
    return new ResultsFolder(path, results)
  }

  /** In the order in which they were made. */
  get done(): readonly TaskResult[] {
    return this.results
  }

  resultOf(key: string): TaskResult | null {
    return this.results.find((result) => result.key === key) ?? null
  }

  /** The answers are there when the line is, and the line is on the disk when this returns. */
  async add(result: TaskResult, answers: AnswerTable | null): Promise<void> {
    if (answers) await this.writeAnswers(result.key, answers)
    const path = join(this.path, resultsFile)
    try {
      const file = await open(path, "a")
      try {
        await file.writeFile(`${JSON.stringify(result)}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
    } catch (error) {
      throw fileError(error, "writing", path)
    }
    this.results.push(result)
  }

  private async writeAnswers(key: string, { answers, columns, values, groups }: AnswerTable): Promise<void> {
    const name = join(this.path, "answers", key.replaceAll("/", "--"))
    await writeAtomically(`${name}.npy`, int32Npy([answers, columns], values))
    if (groups) await writeAtomically(`${name}.groups.npy`, int32Npy([answers], groups))
  }
}

async function readWholeLines(path: string): Promise<TaskResult[]> {
  if (!existsSync(path)) return []
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(error, "reading", path)
  })
  const end = bytes.lastIndexOf(10) + 1
  if (end < bytes.length) await truncate(path, end)
  const lines = bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1)
  return lines.map((line, i) => {
    const result = jsonOrNull(line)
    if (isObject(result) && typeof result.key === "string" && isObject(result.metrics))
      return result as unknown as TaskResult
    throw new UserError(`${path}, line ${i + 1} is not a task's result`, "remove the line, and its task is done again")
  })
}

async function requireSame(folder: string, { model, data, settings }: EvaluationFile): Promise<void> {
  const path = join(folder, evaluationFile)
  if (!existsSync(path)) {
    throw new UserError(
      `${folder} has a ${resultsFile} that no run of evaluate wrote`,
      "choose another folder with --out",
    )
  }
  const found = await readJson(path, "what an evaluation is of")
  if (!isObject(found) || found.format !== "mobileclip-evaluation" || !isObject(found.model))
    throw new UserError(`${path} does not say what an evaluation is of`, "choose another folder with --out")
  const differences = [
    ...(found.model.identity === model.identity ? [] : [`of the model ${quoted(String(found.model.name))}`]),
    ...(found.data === data ? [] : [`on ${quoted(String(found.data))}`]),
    ...(JSON.stringify(found.settings) === JSON.stringify(settings)
      ? []
      : ["with other class names, templates or numbers of pictures"]),
  ]
  if (differences.length === 0) return
  throw new UserError(
    `${folder} holds results ${differences.join(", ")}: another evaluation`,
    "choose another folder with --out, or remove this one",
  )
}

/** NumPy's format 1.0. */
function int32Npy(shape: readonly number[], values: Int32Array): Uint8Array[] {
  const dictionary = `{'descr': '<i4', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10
  const header = Buffer.concat([
    Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, length & 255, length >> 8]),
    Buffer.from(`${dictionary.padEnd(length - 1)}\n`, "latin1"),
  ])
  return [header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]
}

/** The message of an error in one line, with its hint. */
export function reasonOf(error: unknown): string {
  return error instanceof UserError && error.hint ? `${error.message} (${error.hint})` : messageOf(error)
}
