/** A folder's towers in Node, opened at once on graphs that encoding and captioning share. */
import { type Captioner, captionerOf } from "./caption/captioner.ts"
import type { Graph } from "./graph.ts"
import type { LoadOptions } from "./load-options.ts"
import { type Model, modelOf } from "./model.ts"
import { type ClipFolder, type FolderOptions, graphsOf, optionsOf, readClipFolder, runOnce } from "./node.ts"
import { openGraph } from "./session.ts"

export interface OpenClip {
  readonly folder: ClipFolder
  readonly model: Model
  /** Null where the model has no decoder, or no image tower is wanted. Its decoder is opened when it is first used. */
  readonly captioner: Captioner | null
}

export interface OpenOptions extends LoadOptions, FolderOptions {
  /** Is told which file was opened. */
  readonly onOpen?: ((file: string) => void) | undefined
}

/** The CLIP in `directory`. Throws UserError as `loadModel` does, and where a wanted tower cannot be opened. */
export async function openClip(directory: string, options: OpenOptions = {}): Promise<OpenClip> {
  const { towers = "both", onOpen } = options
  const folder = await readClipFolder(directory, options)
  const [graphs, modelOptions] = [graphsOf(folder, options), optionsOf(folder, options)]
  const wanted = new Set([towers === "text" ? null : graphs.image, towers === "image" ? null : graphs.text])
  await openAll(wanted, onOpen)
  const { manifest } = folder
  if (!manifest) return { folder, captioner: null, model: await runOnce(folder, options, graphs, modelOptions) }
  const captioner =
    towers === "text" ? null : captionerOf(manifest, graphs.image, (file) => openGraph(directory, file, options))
  return { folder, captioner, model: modelOf(manifest, graphs, modelOptions) }
}

/** All, or none is left open. */
async function openAll(graphs: Iterable<Graph | null>, onOpen: OpenOptions["onOpen"]): Promise<void> {
  const opened = [...graphs].filter((graph) => graph !== null)
  try {
    await Promise.all(opened.map((graph) => graph.ports().then(() => onOpen?.(graph.file))))
  } catch (error) {
    await Promise.all(opened.map((graph) => graph.release()))
    throw error
  }
}
