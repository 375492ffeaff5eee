/** What a user writes for teachers or captioners, as files on this machine: names, and open_clip's pairs of a name and a tag. */
import { existsSync } from "node:fs"
import { UserError } from "../core/errors.ts"
import { findModel } from "../core/family/variant-name.ts"
import type { OnnxDtype } from "../core/precision.ts"
import { findPretrained } from "../hub/pretrained.ts"
import type { PullWeights } from "../hub/pull.ts"
import { type FindOptions, findModelFiles, type ModelSource, modelAt } from "../weights/find-model.ts"

export type { ModelSource } from "../weights/find-model.ts"

export interface ResolveOptions {
  /** Type of ONNX weights, where a repository has several. */
  readonly dtype?: OnnxDtype | null
  /** Brings weights from a repository that has ONNX towers too. */
  readonly wantsCheckpoint?: boolean
  /** Brings a model from the hub; the command line's one shows licence and progress. */
  readonly pull?: PullWeights
  /** What the user should know, in a line. */
  readonly onNote?: (text: string) => void
}

/** What open_clip's users write for "the weights come with the repository". */
const noTag = /^(n\/?a|none|-)?$/i

/**
 * The models of `--model-name a,b` and `--pretrained x,y`, in order; a name may come twice. A name is open_clip's name of
 * an architecture with a tag or a checkpoint of its own; or a repository (`hf-hub:owner/name`, `owner/name`), a released
 * model, a folder or a checkpoint, with no tag or N/A.
 *
 * @throws UserError where a name means nothing, or names and tags are not as many
 */
export async function resolveModels(
  names: string,
  tags: string | undefined,
  options: ResolveOptions = {},
): Promise<ModelSource[]> {
  const [models, given] = [listed(names), tags === undefined ? null : listed(tags)]
  if (given && given.length !== models.length) {
    throw new UserError(
      `--model-name has ${models.length} names and --pretrained ${given.length}`,
      "give one tag for each name; N/A for a repository, a folder or a file",
    )
  }
  const empty = models.indexOf("")
  if (empty !== -1)
    throw new UserError(`--model-name "${names}": name ${empty + 1} is empty`, "join names by one comma")
  const sources: ModelSource[] = []
  for (const [i, name] of models.entries()) sources.push(await resolveModel(name, given?.[i] ?? "", options))
  return sources
}

function listed(text: string): string[] {
  return text.split(",").map((item) => item.trim())
}

async function resolveModel(name: string, tag: string, options: ResolveOptions): Promise<ModelSource> {
  const path = name.replace(/^local-dir:/, "")
  if (noTag.test(tag)) return findModelFiles(name, findOptions(options))
  if (existsSync(path)) {
    throw new UserError(`${path} has its own weights, and --pretrained says ${tag}`, "write N/A for it")
  }
  if (existsSync(tag)) return modelAt(tag, findModel(name))
  const { release, note } = findPretrained(name, tag)
  if (note) options.onNote?.(note)
  return findModelFiles(release.name, findOptions(options))
}

function findOptions({ wantsCheckpoint: wantsWeights = false, dtype = null, pull }: ResolveOptions): FindOptions {
  return { wantsWeights, dtype, ...(pull && { pull }) }
}
