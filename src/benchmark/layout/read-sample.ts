/** A sample of a shard as the task's kind needs it. What is missing or wrong is an error that names the sample. */
import { quoted, UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { parseJson } from "../../data/json-text.ts"
import { textList } from "../../data/reinforced/tar/members.ts"
import type { GroupMetrics, TaskKind } from "../../evaluate/suite/suite-task.ts"
import type { BenchmarkSample, GroupColumn } from "./benchmark-dataset.ts"
import { splitLines } from "./class-texts.ts"
import { readNpyRow } from "./npy-row.ts"
import { layoutPictures, type ShardSample } from "./shard-samples.ts"

/** What samples must have. */
interface SampleRules {
  readonly kind: TaskKind
  /** Number of classes; null in kinds without. */
  readonly classes: number | null
  readonly groups: readonly GroupColumn[] | null
  readonly groupMetrics: GroupMetrics | null
}

/** Columns of `.npy` that the metrics of a published task look at, counted from the first. */
const neededColumns: Readonly<Record<GroupMetrics, number>> = {
  ...{ iwildcam: 1, camelyon17: 2, fmow: 2, dollar_street: 1, geode: 1, fairface: 4 },
}

/** Reads the samples of one data set, all of whose rows of metadata have one width. */
export class SampleReader {
  private width: number | null

  constructor(private readonly rules: SampleRules) {
    const { kind, classes, groups } = rules
    this.width = kind === "multilabel" ? classes : (groups?.length ?? null)
  }

  /**
   * @param shard its file name, for the key: `0.tar`
   * @param where begins messages: the shard's path or URL
   */
  read(shard: string, where: string, { key, members }: ShardSample): BenchmarkSample {
    const name: Name = () => `${where}: sample ${quoted(key)}`
    const { kind, classes } = this.rules
    const metadata = this.metadata(members, name)
    if (kind === "association")
      return { key: `${shard}/${key}`, label: null, metadata, ...associationOf(members, name) }
    return {
      key: `${shard}/${key}`,
      images: [pictureOf(members, name)],
      label: kind === "classification" ? labelOf(members, classes!, name) : null,
      texts: kind === "retrieval" || kind === "caption-selection" ? captionsOf(members, kind, name) : [],
      metadata,
      associations: null,
    }
  }

  private metadata(members: Members, name: Name): readonly number[] | null {
    const { kind, groups, groupMetrics } = this.rules
    const bytes = members.get("npy")
    if (!bytes) {
      if (kind !== "multilabel" && kind !== "attributes" && !groups && !groupMetrics) return null
      throw new UserError(
        `${name()} has no .npy`,
        `${kind === "multilabel" ? "0 or 1 for each class" : "a row of metadata"} was expected`,
      )
    }
    const row = readNpyRow(bytes, `${name()}: .npy`)
    const needed = groupMetrics ? neededColumns[groupMetrics] : 0
    if (row.length < needed) throw wrongWidth(name, row, `${needed} at least`)
    this.width ??= row.length
    if (row.length !== this.width) throw wrongWidth(name, row, `${this.width}, ${this.widthReason()}`)
    checkValues(row, this.rules, name)
    return row
  }

  private widthReason(): string {
    const { kind, groups } = this.rules
    if (kind === "multilabel") return "one for each class"
    return groups ? "one for each column of groups.json" : "as in the samples before"
  }
}

type Members = ShardSample["members"]

/** Begins messages: only they need it, and millions of samples have none. */
type Name = () => string

function wrongWidth(name: Name, row: readonly number[], expected: string): UserError {
  return new UserError(`${name()}: .npy has ${row.length} values, expected ${expected}`)
}

function checkValues(row: readonly number[], { kind, groups }: SampleRules, name: Name): void {
  if (kind === "multilabel") {
    const wrong = row.findIndex((value) => value !== 0 && value !== 1)
    if (wrong >= 0) throw new UserError(`${name()}: .npy has ${row[wrong]} for class ${wrong}, expected 0 or 1`)
  }
  for (const [i, { name: column, groups: names }] of groups?.entries() ?? []) {
    if (row[i]! in names) continue
    throw new UserError(
      `${name()}: .npy has ${row[i]} for ${quoted(column)}, of which groups.json has ${names.length} groups`,
      "groups are counted from 0",
    )
  }
}

function pictureOf(members: Members, name: Name): Uint8Array {
  const extension = layoutPictures.find((candidate) => members.has(candidate))
  if (extension === undefined)
    throw new UserError(`${name()} has no picture`, "a .jpg, .jpeg, .png or .webp was expected")
  return nonEmpty(members.get(extension)!, extension, name)
}

function nonEmpty(bytes: Uint8Array, extension: string, name: Name): Uint8Array {
  if (bytes.length > 0) return bytes
  throw new UserError(`${name()}: .${extension} is empty`, "a picture was expected")
}

function labelOf(members: Members, classes: number, name: Name): number {
  const bytes = members.get("cls")
  if (!bytes) throw new UserError(`${name()} has no .cls`, "the index of its class was expected")
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")
  if (!/^\s*[+-]?\d{1,15}\s*$/.test(text))
    throw new UserError(`${name()}: .cls is ${quoted(text)}`, "the index of its class was expected")
  const label = Number(text)
  if (label >= 0 && label < classes) return label
  throw new UserError(`${name()}: class ${label} of ${classes}`, `classnames.txt names classes 0 to ${classes - 1}`)
}

function captionsOf(members: Members, kind: "retrieval" | "caption-selection", name: Name): readonly string[] {
  const bytes = members.get("txt")
  const lines = bytes ? splitLines(decodeText(bytes, `${name()}: .txt`)) : []
  const captions = lines.filter((line) => line.trim() !== "")
  if (captions.length === 0)
    throw new UserError(`${name()} has no caption`, "a .txt was expected, a caption in each line")
  if (kind === "retrieval" || captions.length > 1) return captions
  throw new UserError(`${name()} has one caption`, "the right one and at least one wrong one were expected")
}

/** `{"cue", "candidates": [names], "associations": [names]}`, with the pictures `0.jpg`, `1.jpg`, ... in the candidates' order. */
function associationOf(members: Members, name: Name): Pick<BenchmarkSample, "images" | "texts" | "associations"> {
  const { cue, candidates, associations } = instanceOf(members, name)
  const images = candidates.map((_, i) => candidateOf(members, i, name))
  const foreign = associations.find((each) => !candidates.includes(each))
  if (foreign !== undefined)
    throw new UserError(`${name()}: .json associates ${quoted(foreign)}, which is not a candidate`)
  return { images, texts: [cue], associations: candidates.map((each) => associations.includes(each)) }
}

function instanceOf(members: Members, name: Name) {
  const bytes = members.get("json")
  const expected = '{"cue", "candidates": [names], "associations": [names]} was expected'
  if (!bytes) throw new UserError(`${name()} has no .json`, expected)
  const { cue, ...lists } = objectIn(bytes, name)
  const [candidates, associations] = [lists.candidates, lists.associations].map(textList)
  if (typeof cue !== "string" || cue.trim() === "" || !candidates?.length || !associations?.length)
    throw new UserError(`${name()}: .json has no cue, candidates or associations`, expected)
  return { cue, candidates, associations }
}

function objectIn(bytes: Uint8Array, name: Name): Readonly<Record<string, unknown>> {
  const file = `${name()}: .json`
  const value = parseJson(decodeText(bytes, file), file)
  if (isObject(value)) return value
  throw new UserError(`${file} is not an object`)
}

function candidateOf(members: Members, i: number, name: Name): Uint8Array {
  const extension = layoutPictures.map((each) => `${i}.${each}`).find((candidate) => members.has(candidate))
  if (extension === undefined)
    throw new UserError(`${name()} has no picture of candidate ${i}`, `a .${i}.jpg, .jpeg, .png or .webp was expected`)
  return nonEmpty(members.get(extension)!, extension, name)
}
