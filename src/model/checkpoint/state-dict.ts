/**
 * A model's parameters bound to the tensors of a file, and back: every name, shape and layout is checked, and nothing is
 * read before it is needed. Names come from `weights.ts`.
 */
import { concatenate } from "../../core/arrays/concatenate.ts"
import { oneLine, quoted, UserError } from "../../core/errors.ts"
import type { Module } from "../module.ts"
import { type KeyFlavour, type PublishedModel, type PublishedTensor, publishedTensors } from "./weights.ts"

/** Host values of a checkpoint by name. */
export interface StateDict {
  readonly keys: Iterable<string>
  shape(key: string): readonly number[]
  /** Row-major float32 values. */
  read(key: string): Float32Array
}

/**
 * Points every parameter of `model` at its values in a published file. Throws UserError, naming the tensor and the
 * nearest names, when one is missing, unexpected or has another shape. `source` is the file, for messages.
 */
export function loadStateDict(model: PublishedModel, stateDict: StateDict, flavour: KeyFlavour, source: string): void {
  bind(model, publishedTensors(model, flavour), stateDict, source)
}

/** The same for a file that uses our own paths. */
export function loadValues(model: Module, stateDict: StateDict, source: string): void {
  const own = [...model.namedParameters()].map(
    ([path, { shape }]) => [path, { key: path, shape, transposed: false, part: null }] as const,
  )
  bind(model, new Map(own), stateDict, source)
}

/** Parts that wrappers put into names, wherever they wrap a module: torch.compile, FSDP, activation checkpointing. */
const wrappers: ReadonlySet<string> = new Set(["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])

/** What stands before all names: DistributedDataParallel's and AveragedModel's, and the usual one in a Lightning module. */
const prefixes = ["module.", "model."]

/** How many models AveragedModel has averaged, beside their weights. */
const averageCount = "n_averaged"

/** The same dict without what wrappers of a model put into its names, in any combination. */
export function withoutWrappers(stateDict: StateDict): StateDict {
  const keys = [...stateDict.keys].filter((key) => key !== averageCount)
  const names = withoutPrefixes(
    keys.map((key) =>
      key
        .split(".")
        .filter((part) => !wrappers.has(part))
        .join("."),
    ),
  )
  const keyOf = new Map(names.map((name, i) => [name, keys[i]!]))
  // Two tensors of one name: as they are, they are named in an error.
  if (keyOf.size < keys.length) return { ...stateDict, keys }
  return {
    keys: names,
    shape: (name) => stateDict.shape(keyOf.get(name)!),
    read: (name) => stateDict.read(keyOf.get(name)!),
  }
}

function withoutPrefixes(names: readonly string[]): readonly string[] {
  let bare = names
  for (;;) {
    const prefix = prefixes.find((start) => bare.length > 0 && bare.every((name) => name.startsWith(start)))
    if (prefix === undefined) return bare
    bare = bare.map((name) => name.slice(prefix.length))
  }
}

function bind(
  model: Module,
  tensors: ReadonlyMap<string, PublishedTensor>,
  stateDict: StateDict,
  source: string,
): void {
  const present = new Set(stateDict.keys)
  for (const [path, parameter] of model.namedParameters()) {
    const tensor = tensors.get(path)!
    if (!present.has(tensor.key)) throw missingKey(source, tensor.key, present)
    const rows = interpolatedRows(tensor, stateDict.shape(tensor.key))
    if (rows === null) checkShape(source, tensor.key, stateDict.shape(tensor.key), tensor.shape)
    parameter.source = () => {
      const values = fromPublished(stateDict.read(tensor.key), tensor)
      return rows === null ? values : interpolateRows(values, rows, parameter.shape[0]!)
    }
  }
  const expected = new Set([...tensors.values()].map(({ key }) => key))
  const extra = [...present].filter((key) => !expected.has(key))
  if (extra.length > 0) throw unexpectedKeys(source, extra, expected)
}

// -------------------------------------------------------------------------------------------------------- layouts

/** Published values in our layout. */
function fromPublished(values: Float32Array, { shape, transposed, part }: PublishedTensor): Float32Array {
  const ours = transposed ? transpose(values, shape.slice(-2)) : values
  if (!part) return ours
  const size = ours.length / part.of
  return ours.subarray(part.index * size, (part.index + 1) * size)
}

/** Our values in the published layout: those of all parameters that make up one published tensor, in order. */
export function toPublished(parts: readonly Float32Array[], { shape, transposed }: PublishedTensor): Float32Array {
  const ours = concatenate(parts)
  return transposed ? transpose(ours, shape.slice(-2).toReversed()) : ours
}

/** Parameters that make up each published tensor, in order. */
export function publishedParts(
  tensors: ReadonlyMap<string, PublishedTensor>,
): Map<string, { readonly tensor: PublishedTensor; readonly paths: readonly string[] }> {
  const groups = new Map<string, { tensor: PublishedTensor; paths: string[] }>()
  for (const [path, tensor] of tensors) {
    const group = groups.get(tensor.key) ?? { tensor, paths: [] }
    group.paths[tensor.part?.index ?? 0] = path
    groups.set(tensor.key, group)
  }
  return groups
}

/** Values of a matrix of this shape, as its transpose. */
function transpose(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  const result = new Float32Array(values.length)
  for (let r = 0; r < rows!; r++) for (let c = 0; c < columns!; c++) result[c * rows! + r] = values[r * columns! + c]!
  return result
}

/**
 * Rows of the table in the file, where it has another number of them than an image tower of another size needs; null
 * where they are equal. Apple's ViT then blends neighbouring rows of the flat list, not of the grid.
 */
function interpolatedRows({ key, shape }: PublishedTensor, found: readonly number[]): number | null {
  if (!key.endsWith("pos_embed.pos_embed.pos_embed") || !key.startsWith("image_encoder.")) return null
  const [rows, width] = found.slice(-2)
  if (found.length !== shape.length || found.slice(0, -2).some((dim) => dim !== 1) || !(rows! > 0)) return null
  return rows !== shape.at(-2) && width === shape.at(-1) ? rows! : null
}

/** Linear interpolation between rows whose centres are spread evenly over the table. */
function interpolateRows(values: Float32Array, rows: number, wanted: number): Float32Array {
  const width = values.length / rows
  const result = new Float32Array(wanted * width)
  for (let row = 0; row < wanted; row++) {
    const position = Math.max(0, ((row + 0.5) * rows) / wanted - 0.5)
    const below = Math.min(Math.floor(position), rows - 1)
    const above = Math.min(below + 1, rows - 1)
    const share = position - below
    for (let i = 0; i < width; i++) {
      result[row * width + i] = values[below * width + i]! * (1 - share) + values[above * width + i]! * share
    }
  }
  return result
}

// --------------------------------------------------------------------------------------------------------- errors

function missingKey(source: string, key: string, present: Iterable<string>): UserError {
  return new UserError(
    `${source}: tensor "${key}" is missing`,
    `nearest names in the file: ${nearest(key, present).join(", ")}`,
  )
}

function unexpectedKeys(source: string, extra: readonly string[], known: Iterable<string>): UserError {
  const more = extra.length > 1 ? ` (and ${extra.length - 1} more)` : ""
  return new UserError(
    `${source}: tensor ${quoted(extra[0]!)}${more} does not belong to this model`,
    `nearest names that do: ${nearest(extra[0]!, known).join(", ")}`,
  )
}

function checkShape(source: string, key: string, found: readonly number[], expected: readonly number[]): void {
  if (found.length === expected.length && found.every((dim, i) => dim === expected[i])) return
  throw new UserError(
    `${source}: tensor "${key}" has shape [${found}], expected [${expected}]`,
    "is it another variant?",
  )
}

/** The three names that share the most dotted segments with `key`. */
function nearest(key: string, names: Iterable<string>): string[] {
  const wanted = new Set(key.split("."))
  const score = (name: string) => name.split(".").filter((segment) => wanted.has(segment)).length
  const scored = [...names].map((name) => ({ name, shared: score(name) }))
  const best = scored.sort((a, b) => b.shared - a.shared).slice(0, 3)
  return best.map(({ name }) => oneLine(name))
}
