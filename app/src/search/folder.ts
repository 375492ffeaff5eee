/** A folder of this machine: by a handle where browsers have them, which can be asked for again on the next visit. */
import { forget, keep, kept } from "../shared/database.ts"
import { picturesOf, type Received } from "../shared/intake.ts"

/** What TypeScript's declarations lack. */
export interface FolderHandle extends FileSystemDirectoryHandle {
  requestPermission?(options: { mode: "read" }): Promise<PermissionState>
}

type Picker = (options: { mode: "read"; id: string }) => Promise<FolderHandle>

function picker(): Picker | null {
  return (globalThis as { showDirectoryPicker?: Picker }).showDirectoryPicker ?? null
}

export function hasFolderHandles(): boolean {
  return picker() !== null
}

/** Null where the user chose none. */
export async function chooseFolder(): Promise<FolderHandle | null> {
  try {
    const handle = await picker()!({ mode: "read", id: "mobileclip" })
    await keep("states", "folder", handle)
    return handle
  } catch (error) {
    if (Object(error).name === "AbortError") return null
    throw error
  }
}

/** The folder of the last visit. */
export function lastFolder(): Promise<FolderHandle | undefined> {
  return kept<FolderHandle>("states", "folder")
}

export function forgetFolder(): Promise<void> {
  return forget("states", "folder")
}

/** Whether the user allows it again. */
export async function isAllowed(handle: FolderHandle): Promise<boolean> {
  return (await handle.requestPermission?.({ mode: "read" })) !== "denied"
}

/** In the order of their names, folders inside included, some at a time. */
export async function* picturesInFolder(
  handle: FileSystemDirectoryHandle,
  path = handle.name,
): AsyncGenerator<Received[]> {
  const entries: FileSystemHandle[] = []
  for await (const entry of handle.values()) if (!entry.name.startsWith(".")) entries.push(entry)
  entries.sort((a, b) => a.name.localeCompare(b.name))
  const files: Received[] = []
  for (const entry of entries.filter(({ kind }) => kind === "file")) {
    const file = await (entry as FileSystemFileHandle).getFile()
    files.push(...picturesOf([file]).map((one) => ({ ...one, path: `${path}/${file.name}` })))
  }
  if (files.length > 0) yield files
  for (const entry of entries.filter(({ kind }) => kind === "directory"))
    yield* picturesInFolder(entry as FileSystemDirectoryHandle, `${path}/${entry.name}`)
}
