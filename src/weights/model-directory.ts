/** A model, whatever a user calls it, as a folder of ONNX towers that can be loaded. */
import { resolve } from "node:path"
import type { ExportedOptions } from "./exported-directory.ts"
import { type FindOptions, findModelFiles } from "./find-model.ts"

/**
 * The folder itself, or the one of a name in the hub's cache; weights are exported into this user's cache at the first time.
 *
 * @throws UserError where there is no such model on this machine
 */
export async function modelDirectory(
  given: string,
  options: Pick<FindOptions, "pull" | "dtype"> & ExportedOptions = {},
): Promise<string> {
  const source = await findModelFiles(given, { ...options, pull: options.pull ?? null })
  if (source.kind === "directory") return source.path === resolve(given) ? given : source.path
  const { exportedDirectory } = await import("./exported-directory.ts")
  return exportedDirectory(source, options)
}
