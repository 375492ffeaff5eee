/** Pictures that are pasted, or dropped anywhere on the page: they go to the tab that is open. */
import { signal } from "@preact/signals"

export interface Received {
  readonly file: File
  /** Where it was in what was given, for people. */
  readonly path: string
}

type Receiver = (pictures: readonly Received[]) => void

const receivers = new Map<string, Receiver>()

/** The tab that is open. */
export const openTab = signal("see")

/** Whether something is held over the page. */
export const isOver = signal(false)

export interface PassedOver {
  readonly tab: string
  readonly text: string
  /** Whether there was no picture beside. */
  readonly isAll: boolean
}

/** What was given last and is not a picture; null: all were pictures. */
export const passedOver = signal<PassedOver | null>(null)

export function receiveIn(tab: string, receiver: Receiver): void {
  receivers.set(tab, receiver)
}

export function listenForPictures(): void {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])]
    if (files.length > 0) {
      event.preventDefault()
      give(takePictures(files))
    }
  })
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return
    event.preventDefault()
    isOver.value = true
  })
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) isOver.value = false
  })
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return
    event.preventDefault()
    isOver.value = false
    give(await picturesIn(event.dataTransfer))
  })
}

function give(pictures: readonly Received[]): void {
  if (pictures.length > 0) receivers.get(openTab.value)?.(pictures)
}

/** The pictures among files that a user chose one by one; what else there is, is named on the page. */
export function takePictures(files: readonly File[]): Received[] {
  const others = files.filter((file) => !isPicture(file)).map(({ name }) => name)
  const isAll = others.length === files.length
  passedOver.value = others.length > 0 ? { tab: openTab.value, text: passedOverLine(others), isAll } : null
  return picturesOf(files)
}

/** The pictures of a folder, in which there may be anything; where there is none, that is said. */
export function takeFolder(files: readonly File[]): Received[] {
  const pictures = picturesOf(files)
  sayWhetherAny(pictures)
  return pictures
}

export function sayWhetherAny(pictures: readonly Received[]): void {
  const text = "There is no picture in that folder."
  passedOver.value = pictures.length > 0 ? null : { tab: openTab.value, text, isAll: true }
}

const named = 3

export function passedOverLine(names: readonly string[]): string {
  const some = names.length > named ? [...names.slice(0, named), `${names.length - named} more`] : names
  const list = new Intl.ListFormat("en").format(some)
  return names.length === 1 ? `${list} is not a picture.` : `${list} are not pictures.`
}

/** By type, or by name where the system knows none. */
function isPicture({ type, name }: File): boolean {
  if (name.startsWith(".")) return false
  return /^image\//.test(type) || /\.(jpe?g|png|webp|avif|gif|bmp|hei[cf]|tiff?)$/i.test(name)
}

export function picturesOf(files: readonly File[]): Received[] {
  return files.filter(isPicture).map((file) => ({ file, path: file.webkitRelativePath || file.name }))
}

/** Folders are walked. */
async function picturesIn({ items, files }: DataTransfer): Promise<Received[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.() ?? null)
  if (!entries.some((entry) => entry?.isDirectory)) return takePictures([...files])
  const found: Received[] = []
  for (const entry of entries) if (entry) await walk(entry, found)
  sayWhetherAny(found)
  return found
}

async function walk(entry: FileSystemEntry, found: Received[]): Promise<void> {
  if (entry.name.startsWith(".")) return
  if (entry.isDirectory) {
    for (const inner of await entriesOf(entry as FileSystemDirectoryEntry)) await walk(inner, found)
    return
  }
  const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
  for (const picture of picturesOf([file])) found.push({ ...picture, path: entry.fullPath.replace(/^\//, "") })
}

/** Browsers give a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const all: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return all
    all.push(...some)
  }
}
