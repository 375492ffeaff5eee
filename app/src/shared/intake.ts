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

/** What came without a picture in it; null: nothing did. */
export const nothingIn = signal<string | null>(null)

export function receiveIn(tab: string, receiver: Receiver): void {
  receivers.set(tab, receiver)
}

export function listenForPictures(): void {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])]
    if (files.length > 0) {
      event.preventDefault()
      give(picturesOf(files), "The clipboard has files, and none of them is a picture.")
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
    give(await picturesIn(event.dataTransfer), "There is no picture in what was dropped.")
  })
}

function give(pictures: readonly Received[], otherwise: string): void {
  nothingIn.value = pictures.length === 0 ? otherwise : null
  if (pictures.length > 0) receivers.get(openTab.value)?.(pictures)
}

/** By type, or by name where the system knows none. */
export function picturesOf(files: readonly File[]): Received[] {
  const isPicture = ({ type, name }: File) =>
    /^image\//.test(type) || /\.(jpe?g|png|webp|avif|gif|bmp|hei[cf]|tiff?)$/i.test(name)
  return files
    .filter((file) => isPicture(file) && !file.name.startsWith("."))
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }))
}

/** Folders are walked. */
async function picturesIn({ items, files }: DataTransfer): Promise<Received[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.() ?? null)
  if (!entries.some((entry) => entry?.isDirectory)) return picturesOf([...files])
  const found: Received[] = []
  for (const entry of entries) if (entry) await walk(entry, found)
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
