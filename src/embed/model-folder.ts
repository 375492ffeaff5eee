/**
 * A model's folder of vectors: `embed.json`, parts, and a record for each part that is done (`_done/0.json`), which is written
 * after the part's files. A part without its record is made again.
 */
import { existsSync } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { UserError } from "../core/errors.ts"
import { isObject } from "../core/json.ts"
import { fileError } from "../host/files/file-error.ts"
import { makeDirectory, readJson, writeAtomically } from "../host/files/files.ts"
import { listed } from "../host/files/folder.ts"
import { isBookkeeping } from "../host/locks/lock.ts"
import { PartWriter, partPaths } from "./part-writer.ts"
import { type EmbedSettings, requireSameSettings, settingsFile } from "./settings.ts"

const failure = z.object({ input: z.string(), reason: z.string() })

export type EmbedFailure = Readonly<z.infer<typeof failure>>

const record = z.object({ rows: z.int().nonnegative(), failures: z.array(failure) })

type PartRecord = Readonly<z.infer<typeof record>>

export const failuresFile = "failures.jsonl"

export class ModelFolder {
  private constructor(
    readonly path: string,
    readonly settings: EmbedSettings,
    private readonly done: Map<number, PartRecord>,
  ) {}

  /** Throws UserError where the folder has other content, or vectors of other settings. One without a part takes new ones. */
  static async open(path: string, settings: EmbedSettings): Promise<ModelFolder> {
    const folder = new ModelFolder(path, settings, new Map())
    await makeDirectory(path)
    const names = (await namesOf(path)).filter((name) => !isBookkeeping(name))
    const place = join(path, settingsFile)
    if (!names.includes(settingsFile)) {
      if (names.length > 0) throw otherContent(path, names)
      await writeAtomically(place, [`${JSON.stringify(settings, null, 2)}\n`])
      return folder
    }
    const found = await readJson(place, "the settings of a folder of vectors")
    const parts = (await namesOf(join(path, "_done"))).filter((name) => /^\d+\.json$/.test(name))
    if (parts.length === 0) await writeAtomically(place, [`${JSON.stringify(settings, null, 2)}\n`])
    else requireSameSettings(path, isObject(found) ? found : {}, settings)
    for (const name of parts) folder.done.set(Number.parseInt(name, 10), await readRecord(join(path, "_done", name)))
    return folder
  }

  get parts(): number {
    const { inputs, partSize } = this.settings
    return Math.ceil(inputs.count / partSize)
  }

  isDone(part: number): boolean {
    return this.done.has(part)
  }

  /** In the order of the parts. */
  records(): PartRecord[] {
    return [...this.done].sort(([a], [b]) => a - b).map(([, found]) => found)
  }

  begin(part: number): Promise<PartWriter> {
    return PartWriter.begin(partPaths(this.path, this.nameOf(part), this.settings), this.settings)
  }

  /** The part's files are complete. */
  async finish(part: number, found: PartRecord): Promise<void> {
    await makeDirectory(join(this.path, "_done"))
    await writeAtomically(this.recordOf(part), [`${JSON.stringify(found)}\n`])
    this.done.set(part, found)
  }

  /** Parts with failures are to be made again. */
  async forgetFailures(): Promise<void> {
    for (const [part, { failures }] of [...this.done]) {
      if (failures.length === 0) continue
      await rm(this.recordOf(part))
      this.done.delete(part)
    }
  }

  /** A line for each input that is missing; no file where none is. */
  async writeFailures(): Promise<void> {
    const place = join(this.path, failuresFile)
    const lines = this.records().flatMap(({ failures }) => failures.map((found) => `${JSON.stringify(found)}\n`))
    if (lines.length > 0) await writeAtomically(place, lines)
    else if (existsSync(place)) await rm(place)
  }

  private recordOf(part: number): string {
    return join(this.path, "_done", `${this.nameOf(part)}.json`)
  }

  /** With as many digits as the number of parts has, as clip-retrieval names them: readers take files in the order of names. */
  private nameOf(part: number): string {
    return String(part).padStart(String(this.parts).length, "0")
  }
}

async function readRecord(path: string): Promise<PartRecord> {
  const parsed = record.safeParse(await readJson(path, "the record of a part"))
  if (parsed.success) return parsed.data
  throw new UserError(`${path} is not the record of a part`, "remove it: the part is made again")
}

async function namesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw fileError(error, "reading", folder)
  }
}

function otherContent(path: string, names: readonly string[]): UserError {
  return new UserError(
    `${path} has other content (${listed(names.toSorted())}), and no ${settingsFile}`,
    "choose an empty folder, or one of the same model's vectors, for --out",
  )
}
