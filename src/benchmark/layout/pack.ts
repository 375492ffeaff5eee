/**
 * One's own pictures as a task in the benchmark's layout: class folders, pictures with captions beside them, or a list (CSV,
 * TSV, JSONL) with classes or captions and columns of groups. A picture's bytes stay as they are. The folder appears whole; a
 * further split is added whole to a folder that was packed before, and finds its classes and groups in `pack.json`.
 */
import { join, relative, resolve, sep } from "node:path"
import { z } from "zod"
import { isInputError, quoted, UserError } from "../../core/errors.ts"
import { requireFileName } from "../../core/inside.ts"
import { jsonOrNull } from "../../core/json.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { noProgress } from "../../core/progress.ts"
import { alikeLabels } from "../../core/text/alike-labels.ts"
import { defaultTemplates } from "../../core/text/prompts.ts"
import { checkSampleSize } from "../../data/reinforced/sample-budget.ts"
import { readCaptions } from "../../data/training/sources/captions.ts"
import { isDirectory, makeDirectory, readBytes, readBytesIfThere, writeAtomically } from "../../host/files/files.ts"
import { writeDirectoryAtomically } from "../../host/files/folder.ts"
import { decodeImage } from "../../host/image/images.ts"
import { pictureFormat } from "../../host/image/picture-format.ts"
import { lockPath } from "../../host/locks/lock.ts"
import { usableProcessors } from "../../host/processors.ts"
import type { GroupColumn } from "./benchmark-dataset.ts"
import { splitLines } from "./class-texts.ts"
import { type PackSource, type Row, rowsOf } from "./pack-rows.ts"
import { layoutPictures } from "./shard-samples.ts"
import { type Members, npyOf, textBytes, type WrittenSplit, writeSideFiles, writeSplit } from "./write-layout.ts"

export interface PackOptions extends PackSource {
  /** The task's folder: `ROOT/my/birds` is `my/birds` of ROOT. Its parents are made. */
  readonly out: string
  /** The folder of the shards. */
  readonly split?: string
  /** 1 to 100,000. */
  readonly samplesPerShard?: number
  /** Prompts of a classification, with `{}` or `{c}` for the class name. */
  readonly templates?: readonly string[]
  /** Gets a line about what was passed over, and about classes that no model can tell apart. */
  readonly onNote?: (line: string) => void
}

export const packDefaults = {
  ...{ split: "test", samplesPerShard: 10_000, templates: defaultTemplates, startProgress: noProgress },
} as const satisfies Partial<PackOptions>

type Resolved = PackOptions & Required<Pick<PackOptions, keyof typeof packDefaults>>

/** A picture that is in no shard. */
interface PackLeftOut {
  /** Below the folder that was packed; of a list, as it is found. */
  readonly path: string
  readonly reason: string
}

export interface Packed extends WrittenSplit {
  readonly out: string
  readonly split: string
  readonly kind: "classification" | "retrieval"
  /** Those of the task; null for retrieval. */
  readonly classNames: readonly string[] | null
  /** Number of captions; null for classification. */
  readonly captions: number | null
  readonly groups: readonly GroupColumn[] | null
  readonly leftOut: readonly PackLeftOut[]
}

/**
 * Packs pictures as a task, or as a further split of one.
 *
 * @throws UserError where there are no pictures, nothing says what they show, none can be used, `out` has other content or that
 *   split already, or a further split has classes or groups that the task does not know; the signal's reason. Then nothing is left
 */
export async function packDataset(given: PackOptions): Promise<Packed> {
  const options: Resolved = { ...packDefaults, ...given }
  const { out, split, signal } = options
  checkOptions(options)
  using _ = await lockPath(out, "mobileclip evaluate pack", signal)
  const before = await readPlan(out)
  if (before && (await isDirectory(join(out, split))))
    throw new UserError(`${out} has the split ${split} already`, "remove that folder first, or choose another --split")
  const rows = await rowsOf(options)
  for (const note of rows.notes) options.onNote?.(note)
  const plan = planOf(rows.kind, rows.rows, rows.groupColumns, before, out)
  const packing = new Packing(rows.rows, plan, options)
  // The lock is held until all is written.
  return await (before ? packing.addSplit() : packing.newTask())
}

function checkOptions({ source, out, split, samplesPerShard, templates }: Resolved): void {
  if (!Number.isInteger(samplesPerShard) || samplesPerShard < 1 || samplesPerShard > 100_000)
    throw new UserError(`samplesPerShard is ${samplesPerShard}, expected a whole number from 1 to 100000`)
  if (resolve(source) === resolve(out))
    throw new UserError(`${source} would be both read and written`, "choose another folder for --out")
  requireFileName(split, "the split's name")
  const bad = templates.find((template) => !/\{c?\}/.test(template) || splitLines(template).length !== 1)
  if (bad === undefined && templates.length > 0) return
  throw new UserError(
    `the template ${quoted(bad ?? "")} is not one line with a place for the class name`,
    'write {} where the name goes: "a photo of a {}."',
  )
}

// ------------------------------------------------------------------------------------------------------- the plan

const planFile = "pack.json"

/** What a further split must keep: labels and groups are positions in these lists. */
const planSchema = z.object({
  format: z.literal("mobileclip-pack-1"),
  kind: z.enum(["classification", "retrieval"]),
  /** As the pictures name them; `classnames.txt` may be edited. */
  classes: z.array(z.string()),
  groups: z.array(z.object({ name: z.string(), groups: z.array(z.string()) })),
})

type Plan = Readonly<z.infer<typeof planSchema>>

/** Null where the folder was not packed. */
async function readPlan(out: string): Promise<Plan | null> {
  const bytes = await readBytesIfThere(join(out, planFile))
  return bytes && (planSchema.safeParse(jsonOrNull(new TextDecoder().decode(bytes))).data ?? null)
}

function planOf(
  kind: Plan["kind"],
  rows: readonly Row[],
  columns: readonly string[],
  before: Plan | null,
  out: string,
): Plan {
  const classes = kind === "classification" ? distinct(rows.map(({ className }) => className)) : []
  classes.forEach(checkClassName)
  const groups = columns.map((name, i) => ({ name, groups: distinct(rows.map((row) => row.groups[i])) }))
  if (!before) return { format: "mobileclip-pack-1", kind, classes, groups }
  if (before.kind !== kind) throw new UserError(`${out} is ${before.kind}, and these pictures are ${kind}`)
  requireKnown(out, "class", before.classes, classes)
  const names = before.groups.map(({ name }) => name)
  if (names.join("\n") !== columns.join("\n"))
    throw new UserError(
      `${out} has the groups ${listOf(names)}, and now they are ${listOf(columns)}`,
      "name the same columns",
    )
  for (const [i, { name, groups: known }] of before.groups.entries())
    requireKnown(out, `group of ${quoted(name)}`, known, groups[i]!.groups)
  return before
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map(quoted).join(", ")
}

/** Those that are not empty, sorted. */
function distinct(texts: readonly (string | null | undefined)[]): string[] {
  return [...new Set(texts.filter((text) => text != null && text !== ""))].sort() as string[]
}

function checkClassName(name: string): void {
  if (splitLines(name).length === 1 && name.length <= 10_000) return
  throw new UserError(`the class ${quoted(name)} is not one line`, "classnames.txt has a class in each line: rename it")
}

function requireKnown(out: string, what: string, known: readonly string[], found: readonly string[]): void {
  const names = new Set(known)
  const unknown = found.find((name) => !names.has(name))
  if (unknown === undefined) return
  throw new UserError(
    `${out} has no ${what} ${quoted(unknown)}`,
    "a further split has the classes and groups of the first one: pack the split with all of them first",
  )
}

// ------------------------------------------------------------------------------------------------------ the shards

class Packing {
  private readonly leftOut: PackLeftOut[] = []
  private readonly classIndex: ReadonlyMap<string, number>
  private readonly groupIndex: readonly ReadonlyMap<string, number>[]
  private captions = 0

  constructor(
    private readonly rows: readonly Row[],
    private readonly plan: Plan,
    private readonly options: Resolved,
  ) {
    this.classIndex = positions(plan.classes)
    this.groupIndex = plan.groups.map(({ groups }) => positions(groups))
  }

  newTask(): Promise<Packed> {
    const { out, split, templates, onNote } = this.options
    const { kind, classes, groups } = this.plan
    const build = async (folder: string) => {
      const packed = await this.write(join(folder, split))
      const texts = kind === "classification" ? { classNames: classes, templates } : {}
      await writeSideFiles(folder, { kind, ...texts, ...(groups.length > 0 && { groups }) })
      await writeAtomically(join(folder, planFile), [`${JSON.stringify(this.plan, null, 2)}\n`])
      return packed
    }
    if (kind === "classification") for (const line of alikeLabels(classes, templates)) onNote?.(line)
    return writeDirectoryAtomically(out, build, async () => [])
  }

  async addSplit(): Promise<Packed> {
    const { out, split } = this.options
    await makeDirectory(out)
    return writeDirectoryAtomically(
      join(out, split),
      (folder) => this.write(folder),
      async () => [],
    )
  }

  private async write(folder: string): Promise<Packed> {
    const { out, split, samplesPerShard, startProgress } = this.options
    const { kind, classes, groups } = this.plan
    const progress = startProgress("pack", this.rows.length, { unit: "pictures" })
    const written = await writeSplit(
      folder,
      this.samples((done) => progress.update(done)),
      samplesPerShard,
    )
    if (written.samples === 0)
      throw new UserError(`none of the ${this.rows.length} pictures can be used`, this.leftOut[0]?.reason)
    if (this.leftOut.length > 0)
      await writeAtomically(join(folder, "failures.jsonl"), [
        this.leftOut.map((one) => `${JSON.stringify(one)}\n`).join(""),
      ])
    progress.done()
    return {
      ...{ out, split, kind, ...written, leftOut: this.leftOut },
      classNames: kind === "classification" ? classes : null,
      captions: kind === "retrieval" ? this.captions : null,
      groups: groups.length > 0 ? groups : null,
    }
  }

  private async *samples(onPictures: (done: number) => void): AsyncGenerator<Members> {
    let done = 0
    for await (const one of mapOrdered(this.rows, 2 * usableProcessors().count, (row) => this.read(row))) {
      this.options.signal?.throwIfAborted()
      onPictures(++done)
      if ("reason" in one) this.leftOut.push(one)
      else {
        this.captions += one.captions
        yield one.members
      }
    }
  }

  private async read(row: Row): Promise<{ members: Members; captions: number } | PackLeftOut> {
    const path = this.nameOf(row.path)
    try {
      const texts = row.className === null ? await captionsOf(row) : []
      const bytes = await readBytes(row.path, (size) => checkSampleSize([size]))
      await decodeImage(bytes, { name: path })
      const members = new Map([[formatOf(bytes), bytes]])
      if (row.className === null) members.set("txt", textBytes(texts.join("\n")))
      else members.set("cls", textBytes(String(this.labelOf(row.className))))
      if (this.groupIndex.length > 0) members.set("npy", npyOf(this.groupsOf(row)))
      return { members, captions: texts.length }
    } catch (error) {
      if (!isInputError(error)) throw error
      return { path, reason: error.message }
    }
  }

  private labelOf(className: string): number {
    const label = this.classIndex.get(className)
    if (label === undefined) throw new UserError("it has no class")
    return label
  }

  private groupsOf({ groups }: Row): number[] {
    return this.groupIndex.map((index, i) => {
      const place = index.get(groups[i]!)
      if (place === undefined) throw new UserError(`it has no ${quoted(this.plan.groups[i]!.name)}`)
      return place
    })
  }

  /** Below the folder that is packed; of a list, as an absolute path. */
  private nameOf(path: string): string {
    const below = relative(resolve(this.options.source), resolve(path))
    return below.startsWith("..") ? path : below.split(sep).join("/")
  }
}

function positions(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, i) => [name, i]))
}

/** One line each. */
async function captionsOf({ captions }: Row): Promise<string[]> {
  const texts = await readCaptions(captions)
  if (texts.length === 0) throw new UserError("it has no caption")
  return texts.map((text) => splitLines(text).join(" "))
}

function formatOf(bytes: Uint8Array): string {
  const format = pictureFormat(bytes)
  if (layoutPictures.some((known) => known === format)) return format!
  throw new UserError(`it is a ${format?.toUpperCase()} picture, and the benchmark's layout has JPEG, PNG and WebP`)
}
