/** A task's folder on any store: what lies beside its shards (class names, prompts, groups, the kind of data), and the list of these. */
import { stat } from "node:fs/promises"
import { isInputError, quoted, UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { textList } from "../../data/reinforced/tar/members.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { linesByAttribute } from "../../evaluate/metrics/attributes.ts"
import type { SuiteTask, TaskKind } from "../../evaluate/suite/suite-task.ts"
import type { GroupColumn } from "./benchmark-dataset.ts"
import { parseClassNames, parseTemplates, templateFile } from "./class-texts.ts"

export interface Shard {
  /** `0.tar` */
  readonly name: string
  readonly url: string
  /** Null where the server does not say. */
  readonly bytes: number | null
  /** Milliseconds; of files on this machine. */
  readonly modified?: number
  /** What the server says of a file's version, where the file is on another machine. */
  readonly tag?: string | null
}

interface ClassTexts {
  readonly classNames: readonly string[]
  readonly templates: readonly string[]
}

const mostShards = 1_000_000

/** How many sizes are asked for at the same time: each may be a request. */
const atOnce = 16

export class TaskFiles {
  constructor(
    readonly location: string,
    readonly split: string,
    readonly storage: Storage,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async text(name: string): Promise<string | null> {
    const bytes = await this.bytes(name)
    return bytes && decodeText(bytes, this.at(name))
  }

  async shardCount(): Promise<number> {
    const name = `${this.split}/nshards.txt`
    const text = await this.text(name)
    if (text === null) throw this.missing(name, "the number of shards was expected in it")
    const count = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN
    if (Number.isNaN(count))
      throw new UserError(`${this.at(name)} is ${quoted(text.trim())}, expected a number of shards`)
    if (count === 0) throw new UserError(`${this.at(name)} is 0: the split has no shards`, "choose another split")
    if (count > mostShards) throw new UserError(`${this.at(name)} is ${count}, more than ${mostShards} shards`)
    return count
  }

  async classTexts(): Promise<ClassTexts> {
    const names = await this.bytes("classnames.txt")
    if (!names) throw this.missing("classnames.txt", "the names of the classes were expected, one a line")
    const templates = await this.bytes(templateFile)
    if (!templates) throw this.missing(templateFile, 'prompts were expected, one a line: "a photo of a {c}."')
    return {
      classNames: parseClassNames(names, this.at("classnames.txt")),
      templates: parseTemplates(templates, this.at(templateFile)),
    }
  }

  /** Throws UserError where class names or templates are not of the four attributes of faces. */
  requireAttributes({ classNames, templates }: { readonly [name in keyof ClassTexts]: ClassTexts[name] | null }): void {
    for (const [name, lines] of [["classnames.txt", classNames] as const, [templateFile, templates] as const]) {
      try {
        linesByAttribute(lines ?? [])
      } catch (error) {
        if (error instanceof UserError) throw new UserError(`${this.at(name)}: ${error.message}`, error.hint)
        throw error
      }
    }
  }

  async groups(): Promise<readonly GroupColumn[] | null> {
    const text = await this.text("groups.json")
    return text === null ? null : groupsIn(text, this.at("groups.json"))
  }

  /** All shards; throws where one is missing. */
  async shardList(count: number): Promise<readonly Shard[]> {
    const shards: Shard[] = []
    for await (const shard of mapOrdered(Array(count).keys(), atOnce, (i) => this.shard(i))) shards.push(shard)
    return shards
  }

  private async shard(i: number): Promise<Shard> {
    const name = `${i}.tar`
    const url = this.at(`${this.split}/${name}`)
    const found = await orAborted(this.storage.stat(url), this.signal).catch(unknownSize)
    if (!found)
      throw this.missing(`${this.split}/${name}`, `${this.split}/nshards.txt counts it: get it, or mend the number`)
    const modified = isLocal(url) ? { modified: (await stat(pathOf(url))).mtimeMs } : {}
    return { name, url, ...found, ...modified }
  }

  /** Whether there is one shard more than are counted. */
  async hasShard(i: number): Promise<boolean> {
    return isLocal(this.location) && (await this.storage.stat(this.at(`${this.split}/${i}.tar`))) !== null
  }

  private async bytes(name: string): Promise<Uint8Array | null> {
    return orAborted(this.storage.readBytes(this.at(name)), this.signal)
  }

  private at(name: string): string {
    return joined(this.location, name)
  }

  private missing(name: string, hint: string): UserError {
    return new UserError(`${this.location} has no ${name}`, hint)
  }
}

/** A server may take minutes to say nothing: who stops the work does not wait for it. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  work.catch(() => {})
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener("abort", stop)
  })
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener("abort", stop))
}

/** A server that does not say how long a file is may give it all the same. */
function unknownSize(error: unknown): { bytes: null } {
  if (isInputError(error)) return { bytes: null }
  throw error
}

function groupsIn(text: string, file: string): GroupColumn[] {
  const value = jsonOrNull(text)
  const columns = isObject(value) && Array.isArray(value.columns) ? value.columns.map(columnOf) : []
  if (columns.length > 0 && !columns.includes(null)) return columns as GroupColumn[]
  throw new UserError(
    `${file} is not a list of groups`,
    '{"columns": [{"name": "country", "groups": ["Chile", ...]}]} was expected',
  )
}

function columnOf(value: unknown): GroupColumn | null {
  if (!isObject(value) || typeof value.name !== "string") return null
  const groups = Array.isArray(value.groups) ? textList(value.groups) : null
  return groups && groups.length > 0 ? { name: value.name, groups } : null
}

const kinds: readonly TaskKind[] = [
  ...(["classification", "attributes", "multilabel", "retrieval", "caption-selection", "association"] as const),
]

/** What a row may make of a type: the benchmark's own words do not tell all kinds apart. */
const finerKinds: Partial<Record<TaskKind, readonly TaskKind[]>> = {
  classification: ["attributes"],
  multilabel: ["attributes"],
  retrieval: ["caption-selection"],
}

/** @param text of `dataset_type.txt`; null where there is none */
export function kindOf(text: string | null, row: SuiteTask | null, location: string): TaskKind {
  const word = text?.trim().toLowerCase() ?? null
  if (word === null) return row?.kind ?? "classification"
  const kind = kinds.find((known) => known === word)
  if (!kind)
    throw new UserError(`${location}: dataset_type.txt is ${quoted(word)}`, `${kinds.join(", ")} were expected`)
  if (!row || row.kind === kind || finerKinds[kind]?.includes(row.kind)) return row?.kind ?? kind
  throw new UserError(`${location} is ${kind} by its dataset_type.txt, and ${row.key} is ${row.kind}`)
}

/** A name below a folder or URL; "." is the folder itself. */
export function joined(folder: string, name: string): string {
  return name === "." ? folder : `${folder.replace(/\/$/, "")}/${name}`
}
