/**
 * The files of torch.save since torch 1.6 (`.pt`, `.pth`, `.bin`): a zip archive with a pickle (`<any>/data.pkl`) that
 * describes objects, and one stored entry per storage (`<any>/data/<key>`) with the values of its tensors. Format:
 * torch/serialization.py, caffe2/serialize/inline_container.cc.
 *
 * The pickle is read and never executed; a tensor's bytes are read when it is asked for, and no others.
 */
import { Budget } from "../../core/budget.ts"
import { PickleGlobal } from "../../core/containers/pickle.ts"
import { type TensorValues, toFloat32, valuesOf } from "../../core/containers/safetensors.ts"
import { type Dtype, dtypes } from "../../core/containers/safetensors-header.ts"
import { countOf, gather, isRowMajor, spanOf } from "../../core/containers/strides.ts"
import { quoted, UserError } from "../../core/errors.ts"
import { isSize, isSizes } from "../../core/json.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import { PickledStorage, PickledTensor, readTorchPickle, storageTypes, torchDtypes } from "./torch-pickle.ts"
import { checkCrc, checkStoredCrc, readZipDirectory, readZipEntry, type ZipEntry } from "./zip.ts"

interface TorchTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** In elements, like `offset`, that of the first element in its storage. */
  readonly strides: readonly number[]
  readonly offset: number
  readonly storage: ZipEntry
}

/**
 * Where a checkpoint keeps its state dict, also one in the other, tried in this order before the file's own top level.
 * An average of weights is read where there are no others.
 */
const wrappers = [
  ...["state_dict", "model_state_dict", "model", "module"],
  ...["state_dict_ema", "model_ema", "ema_state_dict", "ema"],
]

/** As in `{"ema": {"module": ...}}`. */
const deepestWrapper = 2

/** torch's own limit is 64. */
const mostDimensions = 64

/**
 * Bytes that the descriptions of tensors may take. Each takes 1.5 KB in memory and, with the two zip headers of its storage,
 * at least 0.4 KB in the file. A view of a shared storage takes only 0.1 KB there, so the first 10,000 are free.
 */
const descriptionBudget = (size: number) => 2 ** 24 + 4 * size

/** Bytes of a tensor's entry, in addition to what the pickle's values take. */
const tensorCost = 256

/**
 * Bytes that all tensors together may take as float32. Several may share a storage: tied weights, the parts of one buffer.
 * Bytes become four times as many, and a weight may have several names; without a limit, each name and 40 bytes could
 * repeat a whole storage. Tensors are read one by one, so this bounds the time more than the memory.
 */
const valuesBudget = (size: number) => 2 ** 20 + 16 * size

export class TorchFile {
  /** Storages whose checksum has been compared. */
  private readonly checked = new Set<ZipEntry>()

  private constructor(
    private readonly source: RandomAccess,
    /** The state dict, in its order. */
    readonly tensors: ReadonlyMap<string, TorchTensor>,
  ) {}

  /**
   * Reads the directory and the pickle. Throws UserError on what is damaged, legacy or not weights, and on tensors that
   * take, as float32, more than 16 times the file and 1 MiB.
   */
  static async open(source: RandomAccess): Promise<TorchFile> {
    const entries = await readZipDirectory(source)
    const root = rootOf(source, entries)
    const budget = new Budget(descriptionBudget(source.size), source.name)
    checkByteOrder(source, entries.get(`${root}byteorder`), budget)
    const pickle = readZipEntry(source, stored(source, entries.get(`${root}data.pkl`)!), budget)
    const dict = stateDict(source, readTorchPickle(pickle, source.name, budget))
    budget.take(dict.size * tensorCost, `a dict of ${dict.size} entries`)
    const tensors = describeAll(source, dict, (key) => entries.get(`${root}data/${key}`))
    checkValues(source, tensors)
    return new TorchFile(source, tensors)
  }

  /** Row-major values of a tensor. Throws UserError if no tensor has this name, or its bytes are damaged. */
  read(name: string): TensorValues {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new UserError(`${this.source.name}: no tensor named "${name}"`)
    const { dtype, shape, strides, offset, storage } = tensor
    const size = dtypes[dtype].BYTES_PER_ELEMENT
    const bytes = this.source.read(storage.dataStart + offset * size, spanOf(shape, strides) * size)
    this.checkOnce(storage, bytes)
    const values = valuesOf(bytes, dtype)
    return isRowMajor(shape, strides) ? values : gather(values, shape, strides)
  }

  /** The values of a tensor of any type as float32. */
  readFloat32(name: string): Float32Array {
    return toFloat32(this.read(name), this.tensors.get(name)!.dtype)
  }

  private checkOnce(storage: ZipEntry, bytes: Uint8Array): void {
    if (this.checked.has(storage)) return
    if (bytes.length === storage.size) checkCrc(this.source, storage, bytes)
    else checkStoredCrc(this.source, storage)
    this.checked.add(storage)
  }
}

// -------------------------------------------------------------------------------------------------- the archive

/** The folder, with its slash, that the archive's entries lie in. */
function rootOf(source: RandomAccess, entries: ReadonlyMap<string, ZipEntry>): string {
  const names = [...entries.keys()]
  if (names.some((name) => /(^|\/)(constants\.pkl|code\/.*)$/.test(name))) {
    throw new UserError(
      `${source.name} is a TorchScript archive (torch.jit.save), which holds a program beside the weights`,
      "use the model's safetensors file, or one written by torch.save(model.state_dict(), path)",
    )
  }
  const found = names.filter((name) => /(^|\/)data\.pkl$/.test(name))
  if (found.length === 1) return found[0]!.slice(0, -"data.pkl".length)
  throw new UserError(
    `${source.name} is a zip archive with ${found.length || "no"} data.pkl, and torch.save writes one`,
    "a file of torch.save (torch 1.6 or newer) or of safetensors was expected",
  )
}

function checkByteOrder(source: RandomAccess, entry: ZipEntry | undefined, budget: Budget): void {
  if (!entry) return
  if (entry.size <= 16 && new TextDecoder().decode(readZipEntry(source, entry, budget)) === "little") return
  throw new UserError(
    `${source.name} was written on a big-endian machine`,
    "write it on a little-endian one, or use the safetensors file",
  )
}

function stored(source: RandomAccess, entry: ZipEntry): ZipEntry {
  if (entry.method === "stored") return entry
  throw new UserError(
    `${source.name}: ${quoted(entry.name)} is compressed, and torch.save never does that`,
    "unpack and write the archive again without compression (zip -0)",
  )
}

// ----------------------------------------------------------------------------------------------- the state dict

/** The dict of tensors: one that a checkpoint wraps, or the file's own top level. */
function stateDict(source: RandomAccess, value: unknown): ReadonlyMap<unknown, unknown> {
  for (const candidate of dictsIn(value, deepestWrapper)) {
    for (const item of candidate.values()) if (item instanceof PickledTensor) return candidate
  }
  throw new UserError(
    `${source.name} holds no state dict: ${value instanceof Map ? keysOf(value) : "its top level is not a dict"}`,
    `a dict of tensors was expected, at the top or under ${wrappers.join(", ")}`,
  )
}

/** The dicts that a dict wraps, and then itself. */
function* dictsIn(value: unknown, depth: number): Generator<ReadonlyMap<unknown, unknown>> {
  if (!(value instanceof Map)) return
  if (depth > 0) for (const key of wrappers) yield* dictsIn(value.get(key), depth - 1)
  yield value
}

function keysOf(dict: ReadonlyMap<unknown, unknown>): string {
  const names = [...dict.keys()].slice(0, 5).map((key) => (typeof key === "string" ? quoted(key) : "?"))
  return `no tensor among its ${dict.size} entries${names.length > 0 ? ` (${names.join(", ")}, ...)` : ""}`
}

type FindStorage = (key: string) => ZipEntry | undefined
type MakeError = (what: string, hint?: string) => UserError

/** Entries that are not tensors say nothing about weights and are left out. */
function describeAll(
  source: RandomAccess,
  dict: ReadonlyMap<unknown, unknown>,
  find: FindStorage,
): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>()
  for (const [name, value] of dict) {
    if (!(value instanceof PickledTensor)) continue
    if (typeof name !== "string") throw damaged(source, "a tensor's name is not text")
    tensors.set(
      name,
      describe(value, find, (what) => damaged(source, `tensor ${quoted(name)}: ${what}`)),
    )
  }
  return tensors
}

/** Counts a tensor's whole span: what lies between its elements is read with them. */
function checkValues(source: RandomAccess, tensors: ReadonlyMap<string, TorchTensor>): void {
  const budget = new Budget(valuesBudget(source.size), source.name)
  for (const [name, { dtype, shape, strides }] of tensors) {
    const span = spanOf(shape, strides) * dtypes[dtype].BYTES_PER_ELEMENT
    budget.take(Math.max(span, 4 * countOf(shape)), `tensor ${quoted(name)}`)
  }
}

/** Checks that everything the pickle says of a tensor lies within its storage. */
function describe(tensor: PickledTensor, find: FindStorage, error: MakeError): TorchTensor {
  const { storage, offset, shape, strides } = tensor
  if (!(storage instanceof PickledStorage)) throw error("it has no storage")
  if (!isSizes(shape) || shape.length > mostDimensions) throw error("its shape is not a list of sizes")
  if (!isSizes(strides) || strides.length !== shape.length) throw error(`its strides do not fit [${shape}]`)
  if (!isSize(offset)) throw error("its offset is not a position")
  const dtype = dtypeOf(tensor, storage, error)
  const entry = find(storage.key)
  if (!entry) throw error(`its storage data/${quoted(storage.key)} is missing`)
  const available = elementsIn(entry, storage, dtype, error)
  if (!(countOf(shape) <= available)) {
    throw error(`[${shape}] has more elements than its storage, ${available}`, "save tensor.contiguous() instead")
  }
  const end = offset + spanOf(shape, strides)
  if (!(end <= available)) throw error(`it ends at element ${end} of a storage of ${available}`)
  return { dtype, shape, strides, offset, storage: entry }
}

function dtypeOf(tensor: PickledTensor, storage: PickledStorage, error: MakeError): Dtype {
  const ofStorage = storageTypes[storage.type]
  const named = tensor.dtype instanceof PickleGlobal ? tensor.dtype.name : ""
  const dtype = ofStorage === "bytes" ? torchDtypes[named] : ofStorage
  if (dtype) return dtype
  const found = ofStorage === "bytes" ? named || "no dtype" : storage.type
  throw error(`${found} is not a type that weights are read in`, "save it as float32")
}

/** Elements of a storage; the entry must have exactly the bytes that the pickle says. */
function elementsIn(entry: ZipEntry, storage: PickledStorage, dtype: Dtype, error: MakeError): number {
  if (entry.method !== "stored") throw error("its storage is compressed, and torch.save never does that")
  if (!isSize(storage.count)) throw error("its storage has no number of elements")
  const size = dtypes[dtype].BYTES_PER_ELEMENT
  const bytes = storage.count * (storageTypes[storage.type] === "bytes" ? 1 : size)
  if (bytes !== entry.size) {
    throw error(`its storage should have ${bytes} bytes, and has ${entry.size}`)
  }
  return Math.floor(bytes / size)
}

function damaged(
  source: RandomAccess,
  what: string,
  hint = "get the file again, or use the safetensors file",
): UserError {
  return new UserError(`${source.name}: ${what}`, hint)
}
