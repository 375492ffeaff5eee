/**
 * Where a run leaves one model's results: `results.jsonl`, a line for each task in the order in which they were done, in the
 * shape of the published files; `answers/<key>.npy`; and `evaluation.json`, which says what the results are of.
 */
import { existsSync } from "node:fs"
import { open, truncate } from "node:fs/promises"
import { join } from "node:path"
import { messageOf, quoted, UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { parseJson } from "../../data/json-text.ts"
import { npyBytes } from "../../host/containers/npz.ts"
import { fileError } from "../../host/files/file-error.ts"
import { makeDirectory, readBytes, readBytesIfThere, requireSmall, writeAtomically } from "../../host/files/files.ts"
import type { AnswerTable } from "./answer-table.ts"
import type { ModelFacts } from "./evaluated-model.ts"
import { type TaskResult, taskResultSchema } from "./task-result.ts"

export const resultsFile = "results.jsonl"
export const evaluationFile = "evaluation.json"
export const answersFolder = "answers"

export function answersFile(key: string): string {
  return `${key.replaceAll("/", "--")}.npy`
}

export function groupsFile(key: string): string {
  return `${key.replaceAll("/", "--")}.groups.npy`
}

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
    /** The size of `results.jsonl` where it ends with a whole line. */
    private bytes: number,
  ) {}

  /**
   * The folder of results so far. A line that was cut off is removed, and its task is done again. A folder without results
   * belongs to nobody.
   *
   * @throws UserError where it holds results of another model, other data or other settings, or something else: then nothing
   *   of it is touched
   */
  static async open(path: string, evaluation: EvaluationFile): Promise<ResultsFolder> {
    const file = join(path, resultsFile)
    const text = (await readBytesIfThere(file, requireSmall(file, mostResultBytes))) ?? new Uint8Array()
    const end = text.lastIndexOf(10) + 1
    const results = wholeLines(decodeText(text.subarray(0, end), file), file)
    if (results.length > 0) await requireSame(path, evaluation)
    else if (text.length > 0) await foundEvaluation(path)
    await makeDirectory(join(path, answersFolder))
    await writeAtomically(join(path, evaluationFile), [`${JSON.stringify(evaluation, null, 2)}\n`])
    const folder = new ResultsFolder(path, results, end)
    if (end < text.length) await folder.cutOff()
    return folder
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
    const line = Buffer.from(`${JSON.stringify(result)}\n`)
    await this.append(line)
    this.bytes += line.length
    this.results.push(result)
  }

  /** A disk that is nearly full takes a part of a line, which does not stay. */
  private async append(line: Uint8Array): Promise<void> {
    const path = join(this.path, resultsFile)
    try {
      const file = await open(path, "a")
      try {
        await file.writeFile(line)
        await file.sync()
      } finally {
        await file.close()
      }
    } catch (error) {
      await this.cutOff().catch(() => {})
      throw fileError(error, "writing", path)
    }
  }

  private async cutOff(): Promise<void> {
    const path = join(this.path, resultsFile)
    await truncate(path, this.bytes).catch((error: unknown) => {
      throw fileError(error, "writing", path)
    })
  }

  private async writeAnswers(key: string, { answers, columns, values, groups }: AnswerTable): Promise<void> {
    const folder = join(this.path, answersFolder)
    await writeAtomically(join(folder, answersFile(key)), [npyBytes([answers, columns], values)])
    if (groups) await writeAtomically(join(folder, groupsFile(key)), [npyBytes([answers], groups)])
  }
}

/** A line has some kilobytes. */
const mostResultBytes = 2 ** 27

function wholeLines(text: string, path: string): TaskResult[] {
  const lines = text.split("\n").slice(0, -1)
  return lines.map((line, i) => {
    const { data } = taskResultSchema.safeParse(jsonOrNull(line))
    if (data) return data
    throw new UserError(`${path}, line ${i + 1} is not a task's result`, "remove the line, and its task is done again")
  })
}

/** What `evaluation.json` says. Throws UserError where there is none: the results are not ours. */
async function foundEvaluation(folder: string) {
  const path = join(folder, evaluationFile)
  if (!existsSync(path)) {
    throw new UserError(
      `${folder} has a ${resultsFile} that no run of evaluate wrote`,
      "choose another folder with --out",
    )
  }
  const found = parseJson(decodeText(await readBytes(path, requireSmall(path, mostResultBytes)), path), path)
  if (!isObject(found) || found.format !== "mobileclip-evaluation" || !isObject(found.model))
    throw new UserError(`${path} does not say what an evaluation is of`, "choose another folder with --out")
  return { ...found, model: found.model }
}

async function requireSame(folder: string, { model, data, settings }: EvaluationFile): Promise<void> {
  const found: Readonly<Record<string, unknown>> & { model: Readonly<Record<string, unknown>> } =
    await foundEvaluation(folder)
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

/** The message of an error in one line, with its hint. */
export function reasonOf(error: unknown): string {
  return error instanceof UserError && error.hint ? `${error.message} (${error.hint})` : messageOf(error)
}
