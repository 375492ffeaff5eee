/** What is written beside a dataset about the models whose knowledge is in it. */
import type { Preprocessing } from "../image/preprocess.ts"

export interface WeightsFile {
  readonly file: string
  readonly sha256: string
}

/**
 * The name of a model, its files with their hashes, and what else its numbers depend on. It has no path of this
 * machine: the same files give the same text wherever they are.
 */
export function modelIdentity(
  name: string,
  weights: readonly WeightsFile[],
  { size, interpolation, mean, std }: Preprocessing,
  more: readonly string[] = [],
): string {
  const files = weights.map(({ file, sha256 }) => `${file}=sha256:${sha256}`)
  return [name, ...files, `${size}px`, interpolation, `mean=${mean}`, `std=${std}`, ...more].join(" ")
}

/** The same for people, with only the first 12 digits of each hash. */
export function shortIdentity(identity: string): string {
  return identity.replaceAll(/(?<=sha256:[0-9a-f]{12})[0-9a-f]{52}\b/g, "")
}

/** The identity of several models. Their order matters, because vectors are joined in it. */
export function ensembleIdentity(members: readonly { readonly identity: string }[]): string {
  return members.map(({ identity }) => identity).join(" + ")
}
