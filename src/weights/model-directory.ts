/** A model, whatever a user calls it, as a folder of ONNX towers that can be loaded. */
import { resolve } from "node:path"
import type { OnnxDtype } from "../core/precision.ts"
import type { HostLoadOptions } from "../run/clip-host.ts"
import type { ExportedOptions } from "./exported-directory.ts"
import { type FindOptions, findModelFiles } from "./find-model.ts"

interface DirectoryOptions
  extends Pick<FindOptions, "pull" | "dtype" | "towers" | "signal">,
    Omit<ExportedOptions, "dtype"> {}

/** How a model is brought here, whatever it is called. */
export interface SourceOptions extends HostLoadOptions {
  /** Type of the weights, where a model is there in several or is exported (default: fp32 where it is there). */
  readonly dtype?: OnnxDtype | undefined
  /** Nothing is downloaded (default: for names, what HF_HUB_OFFLINE says). */
  readonly offline?: boolean | undefined
}

/** A folder of ONNX towers, and what to call the model where its files do not say it. */
export interface NamedDirectory {
  readonly directory: string
  readonly name: string
}

/**
 * The folder itself, or the one of a name in the hub's cache; weights are exported into this user's cache at the first time.
 *
 * @throws UserError where there is no such model on this machine
 */
export async function modelDirectory(given: string, options: DirectoryOptions = {}): Promise<string> {
  return (await namedDirectory(given, options)).directory
}

/** The same with a name. */
export async function namedDirectory(given: string, options: DirectoryOptions = {}): Promise<NamedDirectory> {
  const source = await findModelFiles(given, { ...options, pull: options.pull ?? null })
  const { name, path } = source
  if (source.kind === "directory") return { name, directory: path === resolve(given) ? given : path }
  const { exportedDirectory } = await import("./exported-directory.ts")
  return { name, directory: await exportedDirectory(source, options) }
}
