/** Files that a user gave: checked against their manifest, never copied to the browser's own storage. */
import { UserError } from "../../core/errors.ts"
import { type Manifest, manifestFile, parseManifest } from "../../core/inference/manifest.ts"
import { jsonOrNull } from "../../core/json.ts"
import type { FileSet, ReadFile } from "./file-set.ts"
import { sha256, type WebHost } from "./web-host.ts"

export async function openLocalFiles(given: ReadonlyMap<string, Blob>, host: WebHost): Promise<FileSet> {
  const text = await given.get(manifestFile)?.text()
  const manifest = text === undefined ? null : parseManifest(jsonOrNull(text), manifestFile)
  const files = manifest ? withFolders(given, manifest) : given
  return {
    ...{ where: "the given files", name: null, manifest, names: [...files.keys()], notes: [] },
    read: (name, onProgress) => read(name, files.get(name)!, manifest, host, onProgress),
  }
}

/** Who chooses files one by one gives their names without the folders they were in. */
function withFolders(given: ReadonlyMap<string, Blob>, { files }: Manifest): ReadonlyMap<string, Blob> {
  const placed = new Map(given)
  for (const path of Object.keys(files)) {
    const file = given.get(path) ?? given.get(path.split("/").at(-1)!)
    if (file) placed.set(path, file)
  }
  return placed
}

async function read(
  name: string,
  file: Blob,
  manifest: Manifest | null,
  host: WebHost,
  onProgress: Parameters<FileSet["read"]>[1],
): Promise<ReadFile> {
  const bytes = new Uint8Array(await file.arrayBuffer())
  await checkContents(name, bytes, manifest, host)
  onProgress({ stage: "verify", loaded: bytes.length, total: bytes.length, from: "disk" })
  return { bytes, from: "memory" }
}

async function checkContents(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  manifest: Manifest | null,
  host: WebHost,
): Promise<void> {
  const listed = manifest?.files[name]
  if (!listed) return
  const hint = "copy or export the model again"
  if (bytes.length !== listed.bytes)
    throw new UserError(`${name} has ${bytes.length} bytes, and ${manifestFile} says ${listed.bytes}`, hint)
  const digest = await sha256(host, bytes)
  if (digest !== null && digest !== listed.sha256)
    throw new UserError(`${name} has other contents than ${manifestFile} says`, hint)
}
