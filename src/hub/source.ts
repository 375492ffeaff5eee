/** What a user may call a model: a name of the family, a repository on the hub, or a path. Pure: no file is read here. */
import { UserError } from "../core/errors.ts"
import { nearestNames } from "../core/nearest.ts"
import { requireNoCredentials } from "../host/network/address.ts"
import { type Release, released } from "./released.ts"

export interface HubSource {
  readonly kind: "hub"
  /** `owner/name` */
  readonly repo: string
  /** Path of the weights in the repository; null: the listing decides. */
  readonly file: string | null
  /** Branch, tag or commit; null: the default branch. */
  readonly revision: string | null
  /** The table's row, where the repository is in it. */
  readonly release: Release | null
}

interface PathSource {
  readonly kind: "path"
  readonly path: string
}

type Source = HubSource | PathSource

/**
 * `MobileCLIP2-S0`, `mobileclip2_s0`, `apple/MobileCLIP2-S0`, `hf-hub:owner/name`, each with an optional
 * `:file` and `@revision` at the end; or a path. Case and separators do not matter in names of the family.
 *
 * @param exists whether there is a file or folder of that name
 * @throws UserError for an unknown name, with the nearest known ones
 */
export function resolveSource(text: string, exists: (path: string) => boolean): Source {
  const explicit = /^hf[-_]hub:/i.test(text)
  if (!explicit && exists(text)) return { kind: "path", path: text }
  requireNoCredentials(text)
  if (!explicit && looksLikePath(text)) {
    throw new UserError(`${text} does not exist`, `check the path; ${otherwise}`)
  }
  const { name, file, revision } = parts(text.replace(/^hf[-_]hub:/i, ""))
  const release = findRelease(name)
  if (release) return { kind: "hub", repo: release.repo, file: file ?? release.file, revision, release }
  const [owner] = name.split("/")
  if (!explicit && repoPattern.test(name) && exists(owner!)) {
    throw new UserError(
      `${text} does not exist, and ${owner} is a folder of this machine`,
      `check the path; hf-hub:${text} would be a repository on the hub`,
    )
  }
  if (repoPattern.test(name)) return { kind: "hub", repo: name, file, revision, release: null }
  throw new UserError(
    `"${text}" is not a known model, a repository (owner/name) or a file`,
    `nearest names: ${nearestModels(name).join(", ")}; \`mobileclip pull --list\` shows all`,
  )
}

const otherwise =
  "a model is a folder, a file of weights, a name (`mobileclip pull --list` shows all) or a repository (owner/name)"

const repoPattern = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/

function looksLikePath(text: string): boolean {
  return (
    /^[./~\\]|^[A-Za-z]:[\\/]|^[^:@]*\/[^:@]*\//.test(text) || /^[^:@]+\.(pt|pth|bin|safetensors|npz|onnx)$/i.test(text)
  )
}

/** Splits `name[:file][@revision]`. */
function parts(text: string): { name: string; file: string | null; revision: string | null } {
  const { name, file, revision } = /^(?<name>[^:@]*)(?::(?<file>[^@]+))?(?:@(?<revision>.+))?$/.exec(text)?.groups ?? {}
  return { name: name ?? text, file: file ?? null, revision: revision ?? null }
}

/** Finds a release by its name in the table, or by the repository's name with or without its owner. */
function findRelease(name: string): Release | null {
  const wanted = plain(name)
  if (wanted === "") return null
  const matches = ({ name, repo }: Release) =>
    [name, repo, repo.split("/")[1]!].some((known) => plain(known) === wanted)
  return released.find(matches) ?? null
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9/]/g, "")
}

/** The three names, or repositories where `name` is one, that differ in the fewest letters. */
export function nearestModels(name: string): string[] {
  const known = released.map((release) => (name.includes("/") ? release.repo : release.name))
  const plainNames = known.map(plain)
  return nearestNames(plain(name), plainNames).map((nearest) => known[plainNames.indexOf(nearest)]!)
}
