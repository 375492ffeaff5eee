/**
 * Opens a task's data below a root: a folder, `http(s)://`, `s3://` or `hf://`. At an owner on the hub
 * (`hf://datasets/djghosh`) each task is a repository of its own.
 */
import { createHash } from "node:crypto"
import { quoted, UserError } from "../../core/errors.ts"
import { isInside } from "../../core/inside.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal, openStorage } from "../../data/stores/open.ts"
import { NoAccess, type Storage } from "../../data/stores/storage.ts"
import type { SuiteTask, TaskKind } from "../../evaluate/suite/suite-task.ts"
import { isDirectory } from "../../host/files/files.ts"
import type { BenchmarkDataset, BenchmarkSample, GroupColumn } from "./benchmark-dataset.ts"
import { SampleReader } from "./read-sample.ts"
import { shardSamples } from "./shard-samples.ts"
import { joined, kindOf, orAborted, type Shard, TaskFiles } from "./task-files.ts"

/** The root has no folder of the task. */
export class NoTask extends UserError {}

export interface OpenDatasetOptions {
  /** The folder of the shards. Default: "test" */
  readonly split?: string
  /** Default: a new one. */
  readonly storage?: Storage
  readonly signal?: AbortSignal
}

/**
 * @param root a folder or URL
 * @param task a row of a suite, or the path of a task below the root: `my/birds`; "." is the root itself
 * @throws UserError where there is no such task, or its files beside the shards are missing or wrong; the signal's reason
 */
export async function openDataset(
  root: string,
  task: SuiteTask | string,
  { split = "test", storage = openStorage(), signal }: OpenDatasetOptions = {},
): Promise<BenchmarkDataset> {
  const row = typeof task === "string" ? null : task
  const folders = row ? row.folders : [task as string]
  // Rows of one's own data are made of what was asked for.
  for (const part of [split, ...folders.filter((folder) => folder !== ".")])
    if (!isInside(part)) throw new UserError(`${quoted(part)} is not a path below ${root}`, "name a folder: my/birds")
  const files = new TaskFiles(
    await orAborted(findFolder(rootOf(root), folders, split, storage), signal),
    split,
    storage,
    signal,
  )
  const kind = kindOf(await files.text("dataset_type.txt"), row, files.location)
  const shards = await files.shardCount()
  const texts = hasClasses(kind) ? await files.classTexts() : { classNames: null, templates: null }
  if (kind === "attributes") files.requireAttributes(texts)
  const groups = await files.groups()
  return new OpenedDataset(files, await files.shardList(shards), { kind, ...texts, groups, row })
}

function hasClasses(kind: TaskKind): boolean {
  return kind === "classification" || kind === "attributes" || kind === "multilabel"
}

// ----------------------------------------------------------------------------------------------------- the folder

/** The page of an owner on the hub, as CLIP_benchmark takes it. */
function rootOf(root: string): string {
  return (
    root.replace(/\/+$/, "").replace(/^https:\/\/huggingface\.co\/datasets\/([\w.-]+)$/i, "hf://datasets/$1") || "/"
  )
}

/** Throws UserError where it is a folder of this machine that is not there. */
export async function requireRoot(root: string): Promise<void> {
  if (isLocal(root) && !(await isDirectory(pathOf(root))))
    throw new UserError(`${root}: no such folder`, "check --data")
}

async function findFolder(root: string, folders: readonly string[], split: string, storage: Storage): Promise<string> {
  await requireRoot(root)
  let refused: NoAccess | null = null
  let begun: string | null = null
  for (const folder of folders) {
    const location = joined(root, folder)
    try {
      if (await storage.readBytes(joined(location, `${split}/nshards.txt`))) return location
      if (begun === null && (await hasSomething(location, storage))) begun = location
    } catch (error) {
      if (!(error instanceof NoAccess)) throw error
      refused ??= error
    }
  }
  // What it lacks is said when it is opened.
  if (begun !== null) return begun
  if (refused) throw refused
  const names = folders.map((folder) => quoted(folder)).join(" or ")
  throw new NoTask(`${root} has no folder ${names}`, `a folder with ${split}/nshards.txt was expected`)
}

async function hasSomething(location: string, storage: Storage): Promise<boolean> {
  if (isLocal(location)) return isDirectory(pathOf(location))
  for (const name of ["classnames.txt", "dataset_type.txt"])
    if (await storage.readBytes(joined(location, name))) return true
  return false
}

// ---------------------------------------------------------------------------------------------------- the samples

interface Opened {
  readonly kind: TaskKind
  readonly classNames: readonly string[] | null
  readonly templates: readonly string[] | null
  readonly groups: readonly GroupColumn[] | null
  readonly row: SuiteTask | null
}

class OpenedDataset implements BenchmarkDataset {
  readonly location: string
  readonly kind: TaskKind
  readonly split: string
  readonly classNames: readonly string[] | null
  readonly templates: readonly string[] | null
  readonly groups: readonly GroupColumn[] | null
  readonly shards: number
  readonly identity: string
  readonly notes: string[] = []
  private readonly row: SuiteTask | null

  constructor(
    private readonly files: TaskFiles,
    private readonly list: readonly Shard[],
    { kind, classNames, templates, groups, row }: Opened,
  ) {
    this.location = files.location
    this.split = files.split
    this.kind = kind
    this.classNames = classNames
    this.templates = templates
    this.groups = groups
    this.row = row
    this.shards = list.length
    this.identity = identityOf(files, list)
    if (row?.classes && classNames && row.classes !== classNames.length)
      this.note(`classnames.txt names ${classNames.length} classes, and ${row.classes} are published`)
  }

  async *samples(signal?: AbortSignal): AsyncGenerator<BenchmarkSample> {
    const { kind, classNames, groups, row, list } = this
    const classes = classNames?.length ?? null
    const reader = new SampleReader({ kind, classes, groups, groupMetrics: row?.groupMetrics ?? null })
    let count = 0
    for await (const { name, url, path } of localShards(list, this.files.storage, signal)) {
      for await (const samples of shardSamples(path, url, kind === "association")) {
        signal?.throwIfAborted()
        count += samples.length
        for (const sample of samples) yield reader.read(name, url, sample)
      }
    }
    await this.checkCount(count)
  }

  private async checkCount(count: number): Promise<void> {
    const { row, split, location, shards } = this
    if (count === 0)
      throw new UserError(
        `${location}: ${split} has no samples`,
        "files such as s0000001.jpg and s0000001.cls were expected",
      )
    if (split === "test" && row?.size != null && row.size !== count)
      this.note(`${split} has ${count} samples, and ${row.size} are published`)
    if (await this.files.hasShard(shards))
      this.note(`${split}/${shards}.tar is there, but ${split}/nshards.txt counts ${shards}: it is not read`)
  }

  private note(line: string): void {
    const note = `${this.location}: ${line}`
    if (!this.notes.includes(note)) this.notes.push(note)
  }
}

/** Remote data are told by their address; data on this machine by the name of their folder, so that it may be moved. */
function identityOf({ location, split }: TaskFiles, shards: readonly Shard[]): string {
  const place = isLocal(location) ? pathOf(location).split(/[/\\]/).at(-1) : location
  const list = shards.map(({ name, bytes, modified, tag }) => [name, bytes, modified ?? tag ?? null])
  return createHash("sha256")
    .update(JSON.stringify([place, split, list]))
    .digest("hex")
}

interface LocalShard {
  readonly name: string
  readonly url: string
  readonly path: string
}

/** Shards as files of this machine: while one is read, the next is copied. A copy is removed when the next is asked for. */
async function* localShards(
  shards: readonly Shard[],
  storage: Storage,
  signal: AbortSignal | undefined,
): AsyncGenerator<LocalShard> {
  const ending = new AbortController()
  const any = signal ? AbortSignal.any([ending.signal, signal]) : ending.signal
  const fetchOne = ({ url }: Shard) => storage.fetch(url, { signal: any })
  let ahead = shards.length > 0 ? held(fetchOne(shards[0]!)) : null
  try {
    for (const [i, { name, url }] of shards.entries()) {
      await using file = await ahead!
      ahead = i + 1 < shards.length ? held(fetchOne(shards[i + 1]!)) : null
      yield { name, url, path: file.path }
    }
  } finally {
    ending.abort()
    await ahead?.then((file) => file[Symbol.asyncDispose]()).catch(() => {})
  }
}

/** An error waits until its turn comes; without this, Node would end the process for it. */
function held<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
