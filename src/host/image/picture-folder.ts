/**
 * The one walk of a folder of pictures. Hidden names are passed over (`.ipynb_checkpoints`, `._x.jpg` of macOS), and so is
 * everything that is not a file, whatever its name. Links are followed, but no folder is entered twice, and no picture is
 * taken twice within one folder of the top level; several such folders may link to the same picture. What lies in the
 * folder itself comes before what links lead to. A hard link is a file of its own.
 */
import { type Dirent, realpath as realpathOf, stat as statOf } from "node:fs"
import { readdir } from "node:fs/promises"
import { basename, dirname, extname, join, sep } from "node:path"
import { promisify } from "node:util"
import { counted } from "../../core/counted.ts"
import { messageOf, oneLine } from "../../core/errors.ts"
import { fileError } from "../files/file-error.ts"
import { mayDescribe } from "./caption-beside.ts"
import { pictureFormats } from "./picture-format.ts"

interface PictureFolder {
  /** Paths below the folder, in order. */
  readonly pictures: readonly string[]
  /** Paths of the other files below it, captions among them. */
  readonly others: ReadonlySet<string>
  /** Names of the folders right below it, in order, those that cannot be read among them. */
  readonly folders: readonly string[]
  /** Folders below it that cannot be read; the notes name them too. */
  readonly unread: readonly UnreadFolder[]
  /** What was passed over and may be missed, a line each. */
  readonly notes: readonly string[]
}

export interface UnreadFolder {
  /** Below the folder that is walked. */
  readonly path: string
  readonly reason: string
}

const pictureName = /\.(jpe?g|jpe|jfif|png|webp|avif|hei[cf]|hif|tiff?|gif)$/i

/** Whether a file is taken for a picture by its name. */
export function isPictureName(name: string): boolean {
  return pictureName.test(name)
}

export interface WalkOptions {
  /** Files and folders, by their paths below the folder, that are passed over with a note; default: none. */
  readonly isLeftOut?: (path: string) => boolean
  /** Is told after each folder how many files there are so far. */
  readonly onFound?: (files: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Throws UserError where the folder itself cannot be read; a folder below that cannot be read is a note. Throws the signal's
 * reason after the folder that it was in.
 */
export async function walkPictures(folder: string, options: WalkOptions = {}): Promise<PictureFolder> {
  const walk = new Walk(options)
  try {
    await walk.enter("", await realpath(folder))
  } catch (error) {
    options.signal?.throwIfAborted()
    throw fileError(error, "reading", folder)
  }
  await walk.followLinks()
  options.signal?.throwIfAborted()
  return walk.found(folder)
}

class Walk {
  private readonly pictures: string[] = []
  private readonly others = new Set<string>()
  private readonly folders: string[] = []
  /** Real paths of folders, each with the top-level folder in which it was found. */
  private readonly visited = new Map<string, string>()
  /** Real paths of pictures that links lead to: alone, and after the top-level folder in which they were found. */
  private readonly linked = new Set<string>()
  private links: Link[] = []
  private readonly unread: UnreadFolder[] = []
  private readonly foldersAgain: string[] = []
  private readonly leftOut: string[] = []
  private readonly passedOver = { again: 0, nowhere: 0, special: 0 }

  constructor(private readonly options: WalkOptions) {}

  /** @param path below the folder that is walked */
  async enter(path: string, real: string): Promise<void> {
    const { isLeftOut = () => false, onFound, signal } = this.options
    signal?.throwIfAborted()
    this.visited.set(real, path.split(sep)[0]!)
    const entries = await readdir(real, { withFileTypes: true })
    for (const entry of entries.filter(({ name }) => !isHidden(name))) {
      const below = join(path, entry.name)
      if (isLeftOut(below)) this.leftOut.push(below)
      else await this.take(entry, below, join(real, entry.name))
    }
    onFound?.(this.pictures.length + this.others.size)
  }

  /** Visits folders first: what lies in them is not taken again through a link. */
  async followLinks(): Promise<void> {
    const files: (Link & Target)[] = []
    while (this.links.length > 0) {
      const links = this.links.sort(byPath)
      this.links = []
      const targets = await targetsOf(links)
      for (const [i, link] of links.entries()) {
        const target = targets[i] ?? null
        if (target === null) this.passedOver.nowhere++
        else if (target.kind === "folder") await this.enterOnce(link.path, target.real)
        else files.push({ ...link, ...target })
      }
    }
    for (const { path, real, kind } of files.sort(byDepthOfTop)) {
      if (kind === "special") this.passedOver.special++
      else if (!isPictureName(path)) this.others.add(path)
      else if (this.hasPicture(real, topOf(path))) this.passedOver.again++
      else {
        this.linked.add(real).add(topOf(path) + real)
        this.pictures.push(path)
      }
    }
  }

  found(folder: string): PictureFolder {
    const { pictures, others, folders, unread } = this
    return { pictures: pictures.sort(), others, folders: folders.sort(), unread, notes: this.notes(folder) }
  }

  private async take(entry: Dirent, path: string, real: string): Promise<void> {
    if (entry.isDirectory()) await this.enterOnce(path, real)
    else if (entry.isSymbolicLink()) this.links.push({ path, at: real })
    else if (!entry.isFile()) this.passedOver.special++
    else if (isPictureName(path)) this.pictures.push(path)
    else this.others.add(path)
  }

  private async enterOnce(path: string, real: string): Promise<void> {
    if (this.visited.has(real)) {
      this.foldersAgain.push(path)
      return
    }
    if (dirname(path) === ".") this.folders.push(path)
    try {
      await this.enter(path, real)
    } catch (error) {
      this.options.signal?.throwIfAborted()
      this.unread.push({ path, reason: messageOf(fileError(error, "reading", path)) })
    }
  }

  /** Whether a link leads to a picture that was taken in this top-level folder, as are all of a visited folder. */
  private hasPicture(real: string, top: string): boolean {
    const isTaken = !isHidden(basename(real)) && isPictureName(real)
    const around = isTaken ? this.visited.get(dirname(real)) : undefined
    // The folder that is walked has the pictures of all folders in it.
    return this.linked.has(top + real) || (top === "" ? around !== undefined : around === top)
  }

  private notes(folder: string): string[] {
    const { again, nowhere, special } = this.passedOver
    const said = [
      otherNames(this.others, this.pictures),
      this.leftOut.length > 0 &&
        `what is left out: ${counted(this.leftOut.length, "name")} (${namesText(this.leftOut)})`,
      again > 0 && `${counted(again, "link")} to pictures that came before`,
      this.foldersAgain.length > 0 && foldersText(this.foldersAgain),
      nowhere > 0 && `${counted(nowhere, "link")} to nothing`,
      special > 0 && `${counted(special, "pipe, socket or device", "pipes, sockets or devices")}`,
    ].filter((part) => part !== false)
    const passedOver = said.length > 0 ? [`${folder}: passed over ${said.join("; ")}`] : []
    const reasons = this.unread.map(({ reason }) => reason)
    return [...passedOver, ...reasons.slice(0, mostSaid), ...more(reasons.length)]
  }
}

interface Link {
  /** Below the folder that is walked. */
  readonly path: string
  readonly at: string
}

interface Target {
  readonly kind: "folder" | "file" | "special"
  readonly real: string
}

/** How many links are looked up at the same time: folders may have tens of thousands. */
const concurrency = 32

async function targetsOf(links: readonly Link[]): Promise<(Target | null)[]> {
  const targets: (Target | null)[] = []
  for (let i = 0; i < links.length; i += concurrency) {
    targets.push(...(await Promise.all(links.slice(i, i + concurrency).map(targetOf))))
  }
  return targets
}

// The functions of node:fs/promises take twice the time.
const [stat, realpath] = [promisify(statOf), promisify(realpathOf.native)]

/** Null where the link leads nowhere, or to what may not be read. */
async function targetOf({ at }: Link): Promise<Target | null> {
  try {
    const found = await stat(at)
    const kind = found.isDirectory() ? "folder" : found.isFile() ? "file" : "special"
    return { kind, real: await realpath(at) }
  } catch {
    return null
  }
}

const mostSaid = 5

/** Folders by name, because each may be a class that is missed. */
function foldersText(paths: readonly string[]): string {
  return `${counted(paths.length, "folder")} that came before under another name (${namesText(paths)})`
}

function namesText(paths: readonly string[]): string {
  const shown = paths
    .toSorted()
    .slice(0, mostSaid)
    .map((path) => oneLine(path))
  const rest = paths.length > mostSaid ? ", ..." : ""
  return shown.join(", ") + rest
}

function more(count: number): string[] {
  return count > mostSaid ? [`and ${count - mostSaid} folders more that cannot be read`] : []
}

/** Files that are neither pictures nor say something about one, by their extensions, the most frequent first; false where there are none. */
function otherNames(others: ReadonlySet<string>, pictures: readonly string[]): string | false {
  const described = new Set(pictures.flatMap((path) => [path, path.slice(0, -extname(path).length)]))
  const counts = new Map<string, number>()
  for (const name of others) {
    const extension = extname(name).toLowerCase()
    if (extension !== ".txt" && !mayDescribe(name, described)) counts.set(extension, (counts.get(extension) ?? 0) + 1)
  }
  if (counts.size === 0) return false
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, mostSaid)
  const kinds = most.map(([extension, count]) => `${count} ${oneLine(extension, 20) || "without an extension"}`)
  const rest = counts.size > mostSaid ? ", ..." : ""
  return `${counted(total, "file")} of other kinds (${kinds.join(", ")}${rest}), for ${pictureFormats} are read`
}

function isHidden(name: string): boolean {
  return name.startsWith(".")
}

/** The top-level folder that a path is in; "" where it is in none. */
function topOf(path: string): string {
  return path.includes(sep) ? path.slice(0, path.indexOf(sep)) : ""
}

/** Links in no folder come last: what is in a folder is not taken again beside it. */
function byDepthOfTop(a: Link, b: Link): number {
  return Number(topOf(a.path) === "") - Number(topOf(b.path) === "") || byPath(a, b)
}

function byPath(a: Link, b: Link): number {
  return a.path < b.path ? -1 : 1
}
