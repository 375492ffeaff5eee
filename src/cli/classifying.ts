/** What `mobileclip classify` and `bake-labels` read: labels and templates; and what `classify` prints. */
import { existsSync } from "node:fs"
import { type Command, Option } from "commander"
import { parseTemplates } from "../benchmark/layout/class-texts.ts"
import { oneLine, UserError } from "../core/errors.ts"
import { isObject, jsonOrNull } from "../core/json.ts"
import { decodeText, textLines } from "../core/text/decode-text.ts"
import type { GivenLabels } from "../embed/open-classifiers.ts"
import { readBytes } from "../host/files/files.ts"
import type { PictureReading } from "../pictures/reading.ts"
import { percent } from "../report/numbers.ts"
import { labelFileFormat } from "../run/labels/label-file.ts"
import type { LabelScore } from "../run/labels/rank-labels.ts"
import { repeated } from "./options.ts"
import { csvChunks, jsonChunks, tableChunks, widest } from "./row-output.ts"

export interface LabelOptions {
  /** Separated by commas. */
  readonly labels?: string
  /** One on each line. */
  readonly labelsFile?: string
  readonly template?: readonly string[]
  /** A file with one on each line. */
  readonly templates?: string
}

export function addLabelOptions(command: Command): Command {
  return command
    .option("--labels <list>", "labels, separated by commas; one that has a comma goes into --labels-file")
    .option("--labels-file <file>", "labels, one on each line")
    .addOption(
      new Option(
        "--template <text>",
        'prompt, {} is the label; repeat it to average several (default: "a photo of a {}.")',
      )
        .argParser(repeated)
        .conflicts("templates"),
    )
    .option("--templates <file>", "prompts, one on each line: {} or {c} is the label")
}

/** The option as `evaluate` has it. */
export function labelCacheOption(): Option {
  return new Option("--no-cache", "keep no vectors of labels, and use none")
}

/** Labels and templates to encode. Both ways to give one, or none, are wrong usage; files without any are a UserError. */
export async function readWords(
  { template, templates, ...labels }: LabelOptions,
  command: Command,
  write: (line: string) => void,
): Promise<Extract<GivenLabels, { kind: "words" }>> {
  return {
    kind: "words",
    labels: await readLabels(labels, command, write),
    templates: templates === undefined ? template : parseTemplates(await readBytes(templates), templates),
  }
}

/** Each label once, in order. */
async function readLabels(
  { labels, labelsFile }: Pick<LabelOptions, "labels" | "labelsFile">,
  command: Command,
  write: (line: string) => void,
): Promise<string[]> {
  if (labelsFile === undefined) {
    if (labels === undefined) command.error("error: give the labels, with --labels or --labels-file")
    requireNotFile(labels)
    requireNotQuoted(labels)
    return unique(labels.split(","), "--labels", "separate labels by commas: --labels cat,dog", write)
  }
  if (labels !== undefined) command.error("error: give either --labels or --labels-file")
  const text = decodeText(await readBytes(labelsFile), labelsFile)
  requireLines(text, labelsFile)
  return unique(textLines(text), labelsFile, "put one label on each line", write)
}

/** A path in place of labels would be a label by itself, with 100 %. */
function requireNotFile(labels: string): void {
  if (!/\.\w+$/.test(labels) || !existsSync(labels)) return
  throw new UserError(
    `${labels} is a file, and --labels takes the labels themselves`,
    `--labels-file ${labels} reads it`,
  )
}

/** Quotes that the shell left there do not keep a comma in a label. */
function requireNotQuoted(labels: string): void {
  const half = labels.split(",").find((label) => /^"[^"]*$/.test(label.trim()))
  if (half === undefined) return
  throw new UserError(
    `--labels: ${oneLine(half.trim())} begins with a quote that no label ends with, for commas separate labels even in quotes`,
    "put labels that have commas into a file, one on each line, and give it with --labels-file",
  )
}

/** Throws UserError for bytes, and for JSON, which would be labels that nobody meant. */
function requireLines(text: string, file: string): void {
  const hint = "put one label on each line"
  if (text.includes("\0")) throw new UserError(`${file} is not a list of labels`, hint)
  const value = jsonOrNull(text)
  if (isObject(value) && value.format === labelFileFormat)
    throw new UserError(`${file} is what \`bake-labels\` wrote`, `\`classify --baked ${file}\` reads it`)
  if (isObject(value) || Array.isArray(value)) throw new UserError(`${file} is JSON, and not a list of labels`, hint)
}

/** Empty ones are passed over, and a label that comes again is said: its probability would be shared by two. */
function unique(given: readonly string[], source: string, hint: string, write: (line: string) => void): string[] {
  const labels = given.map((label) => label.trim()).filter((label) => label !== "")
  const [once, twice] = [new Set<string>(), new Set<string>()]
  for (const label of labels) (once.has(label) ? twice : once).add(label)
  const result = [...once]
  if (result.length === 0) throw new UserError(`${source} holds no labels`, hint)
  const again = result.filter((label) => twice.has(label))
  if (again.length > 0)
    write(
      `${source}: ${again.slice(0, 4).join(", ")}${again.length > 4 ? ", ..." : ""} came more than once, and counts once`,
    )
  return result
}

// ------------------------------------------------------------------------------------------------------ results

/** A picture's labels by one model, and how the picture was read. */
export interface Result extends PictureReading {
  /** Path of the picture. */
  readonly image: string
  readonly model: string
  /** The best first. */
  readonly labels: readonly LabelScore[]
}

export type ResultFormat = "table" | "json" | "csv"

interface KnownTexts {
  readonly images: readonly string[]
  readonly models: readonly string[]
  readonly labels: readonly string[]
}

/** The results in text as they come. */
export function resultChunks(
  results: AsyncIterable<Result>,
  format: ResultFormat,
  known: KnownTexts,
): AsyncGenerator<string> {
  switch (format) {
    case "json":
      return jsonChunks(results)
    case "csv":
      return csvChunks(
        ["image", "model", "orientation", "decode", "rank", "label", "score", "cosine"],
        flattened(results, ({ image, model, orientation, decode }, { label, score, cosine }, i) => [
          ...[image, model, orientation, decode, i + 1, label],
          ...[score, cosine].map((value) => +value.toPrecision(7)),
        ]),
      )
    case "table":
      return resultTable(results, known)
    default:
      return format satisfies never
  }
}

/** A row per label; a picture's path, and the model where there are several, stand at its best one. */
function resultTable(results: AsyncIterable<Result>, { images, models, labels }: KnownTexts): AsyncGenerator<string> {
  const several = models.length > 1
  const columns = [
    { title: "image", widest: widest(images) },
    ...(several ? [{ title: "model", widest: widest(models) }] : []),
    { title: "label", widest: widest(labels) },
    { title: "score", align: "right", widest: "100.0%".length } as const,
    { title: "cosine", align: "right", widest: "-0.000".length } as const,
  ]
  const rows = flattened(results, ({ image, model }, { label, score, cosine }, i) => [
    ...[image, ...(several ? [model] : [])].map((text) => (i > 0 ? "" : text)),
    ...[label, percent(score), cosine.toFixed(3)],
  ])
  return tableChunks(columns, rows)
}

async function* flattened<Row>(
  results: AsyncIterable<Result>,
  rowOf: (result: Result, label: LabelScore, index: number) => Row,
): AsyncGenerator<Row> {
  for await (const result of results) yield* result.labels.map((label, i) => rowOf(result, label, i))
}
