/**
 * What torch.save writes since 1.6 (`.pt`, `.pth`, `.bin`): a zip archive with a pickle, `<name>/data.pkl`, and one entry
 * per storage, `<name>/data/<key>`, its bytes as they were in memory. Nothing is executed, and a tensor's bytes are read
 * when they are asked for.
 *
 * Source: PyTorch `torch/serialization.py`, `torch/_utils.py`.
 */
import { messageOf, UserError } from "../core/errors.ts"
import { bfloat16ToFloat32, float16ToFloat32 } from "../core/half.ts"
import { NamedGlobal, type PickleGlobal, readPickle } from "../core/pickle.ts"
import type { RandomAccess } from "../core/safetensors.ts"
import { type Dtype, dtypes } from "../core/safetensors-header.ts"
import type { TensorFile } from "../core/tensor-file.ts"
import { ZipArchive, type ZipEntry } from "./zip.ts"

const storageTypes: Readonly<Record<string, Dtype>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
}

const dtypeNames: Readonly<Record<string, Dtype>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
}

interface Storage {
  readonly entry: ZipEntry
  /** Null for an untyped one. */
  readonly dtype: Dtype | null
}

class StoredTensor {
  constructor(
    readonly storage: Storage,
    readonly dtype: Dtype,
    /** In elements. */
    readonly offset: number,
    readonly shape: readonly number[],
    readonly stride: readonly number[],
  ) {}

  get size(): number {
    return this.shape.reduce((product, dim) => product * dim, 1)
  }
}

/** Throws UserError where it is not an archive of plain tensors. `close` stays the caller's. */
export async function openTorchFile(source: RandomAccess): Promise<Omit<TensorFile, "close">> {
  const archive = await ZipArchive.open(source)
  const names = [...archive.entries.keys()]
  const pickle = names.find((name) => name === "data.pkl" || name.endsWith("/data.pkl"))
  if (pickle === undefined)
    throw refuse(source, "a zip archive, but not one that torch.save wrote: data.pkl is missing")
  const folder = pickle.slice(0, -"data.pkl".length)
  if (names.some((name) => name === `${folder}constants.pkl` || name.startsWith(`${folder}code/`))) {
    throw refuse(
      source,
      "a TorchScript program, not weights",
      "use the model's safetensors file, or save its state dict",
    )
  }
  checkByteOrder(archive, folder, source)
  const root = readPickle(archive.read(archive.entries.get(pickle)!), {
    name: source.name,
    globals: globals(source),
    persistentLoad: (id) => storage(id, archive, folder, source),
  })
  return new TorchFile(source, archive, stateDict(root, source))
}

class TorchFile implements Omit<TensorFile, "close"> {
  readonly format = "torch"
  readonly metadata = {}
  private readonly verified = new Set<ZipEntry>()

  constructor(
    private readonly source: RandomAccess,
    private readonly archive: ZipArchive,
    readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {}

  get name(): string {
    return this.source.name
  }

  readFloat32(name: string): Float32Array {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new UserError(`${this.name}: no tensor named "${name}"`)
    const { dtype, shape, stride } = tensor
    const last = shape.reduce((sum, dim, axis) => sum + (dim - 1) * stride[axis]!, 0)
    if (tensor.size === 0) return new Float32Array(0)
    const values = toFloat32(dtype, this.bytes(tensor, last + 1))
    return isContiguous(shape, stride) ? values : gather(values, shape, stride)
  }

  /** `count` elements from the tensor's first on; a storage that is read whole is checked the first time. */
  private bytes({ storage: { entry }, dtype, offset }: StoredTensor, count: number): Uint8Array {
    const width = dtypes[dtype].BYTES_PER_ELEMENT
    const whole = offset === 0 && count * width === entry.size
    if (!whole || this.verified.has(entry)) return this.archive.readRange(entry, offset * width, count * width)
    const bytes = this.archive.read(entry)
    this.verified.add(entry)
    return bytes
  }
}

// ------------------------------------------------------------------------------------------------- inside the pickle

function globals(source: RandomAccess): Record<string, PickleGlobal> {
  const inert = (path: string) => () => {
    throw refuse(source, `a checkpoint that calls ${path}`)
  }
  const storages = Object.keys(storageTypes).map((name) => `torch.${name}`)
  const named = [...storages, ...Object.keys(dtypeNames).map((name) => `torch.${name}`)]
  const untyped = ["torch.storage.UntypedStorage", "torch.UntypedStorage"]
  return {
    ...Object.fromEntries([...named, ...untyped].map((path) => [path, inert(path)])),
    "collections.OrderedDict": (items) => orderedDict(items),
    "torch.Size": (dims) => dims,
    "torch.device": (...names) => names.join(":"),
    "torch._utils._rebuild_tensor_v2": (stored, offset, shape, stride) =>
      rebuild(source, stored, offset, shape, stride),
    "torch._utils._rebuild_tensor_v3": (stored, offset, shape, stride, _grad, _hooks, dtype) =>
      rebuild(source, stored, offset, shape, stride, dtype),
    "torch._utils._rebuild_parameter": (data) => data,
    "torch._utils._rebuild_parameter_with_state": (data) => data,
    // Options of a training run, which checkpoints carry beside their weights.
    "argparse.Namespace": () => new Map(),
    "numpy.core.multiarray.scalar": () => null,
    "numpy._core.multiarray.scalar": () => null,
    "numpy.dtype": () => null,
    "_codecs.encode": () => null,
    "builtins.set": (items) => items,
  }
}

function orderedDict(items: unknown): Map<unknown, unknown> {
  const pairs = Array.isArray(items) ? items.filter((pair) => Array.isArray(pair) && pair.length === 2) : []
  return new Map(pairs as [unknown, unknown][])
}

/** ("storage", type, key, device, number of elements) */
function storage(id: unknown, archive: ZipArchive, folder: string, source: RandomAccess): Storage {
  const [kind, type, key] = Array.isArray(id) ? id : []
  if (kind !== "storage" || !(type instanceof NamedGlobal) || typeof key !== "string") {
    throw refuse(source, "a pickle that refers to something that is not a storage")
  }
  const entry = archive.entries.get(`${folder}data/${key}`)
  if (!entry) throw refuse(source, `an archive without the storage data/${key.slice(0, 40)}`)
  return { entry, dtype: storageTypes[type.path.replace(/^.*\./, "")] ?? null }
}

function rebuild(
  source: RandomAccess,
  stored: unknown,
  offset: unknown,
  shape: unknown,
  stride: unknown,
  typeName?: unknown,
): StoredTensor {
  const named = typeName instanceof NamedGlobal ? dtypeNames[typeName.path.replace(/^.*\./, "")] : undefined
  const { entry, dtype = named ?? null } = isStorage(stored) ? stored : { entry: null }
  const type = named ?? dtype
  if (!entry || type === null || !isSizes([offset]) || !isSizes(shape) || !isSizes(stride)) {
    throw refuse(source, "a tensor of a kind that is not read here")
  }
  const tensor = new StoredTensor({ entry, dtype: type }, type, offset as number, shape, stride)
  checkExtent(source, tensor)
  return tensor
}

/** Every element lies in the storage, and there are no more elements than it has. */
function checkExtent(
  source: RandomAccess,
  { storage: { entry }, dtype, offset, shape, stride, size }: StoredTensor,
): void {
  const available = Math.floor(entry.size / dtypes[dtype].BYTES_PER_ELEMENT)
  const last = shape.reduce((sum, dim, axis) => sum + (dim - 1) * (stride[axis] ?? Number.NaN), offset)
  const fits = shape.length === stride.length && (size === 0 || (last < available && size <= available))
  if (!fits)
    throw refuse(source, `a tensor [${shape.slice(0, 8)}] that its storage of ${available} values does not hold`)
}

function isStorage(value: unknown): value is Storage {
  return typeof value === "object" && value !== null && "entry" in value && "dtype" in value
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 64 && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}

/** Where checkpoints keep their weights, beside an optimizer's state and counters. */
const wrappers = ["state_dict", "model_state_dict", "model"]

function stateDict(root: unknown, source: RandomAccess): ReadonlyMap<string, StoredTensor> {
  const candidates = root instanceof Map ? [root, ...wrappers.map((key) => root.get(key))] : []
  for (const candidate of candidates) {
    const tensors = candidate instanceof Map ? [...candidate].filter(([, value]) => value instanceof StoredTensor) : []
    if (tensors.length > 0) return new Map(tensors.map(([name, tensor]) => [String(name), tensor]))
  }
  throw refuse(source, "a checkpoint without a dict of tensors", `looked at the top and in ${wrappers.join(", ")}`)
}

// ------------------------------------------------------------------------------------------------------------ values

function toFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const array = dtypes[dtype]
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes)
  const values = new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.length / array.BYTES_PER_ELEMENT)
  if (dtype === "F16") return float16ToFloat32(values as Uint16Array)
  if (dtype === "BF16") return bfloat16ToFloat32(values as Uint16Array)
  if (values instanceof Float32Array) return values
  return values instanceof BigInt64Array ? Float32Array.from(values, Number) : Float32Array.from(values)
}

function isContiguous(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && stride[axis] !== expected) return false
    expected *= shape[axis]!
  }
  return true
}

/** Elements in row-major order. */
function gather(values: Float32Array, shape: readonly number[], stride: readonly number[]): Float32Array {
  const result = new Float32Array(shape.reduce((product, dim) => product * dim, 1))
  const index = shape.map(() => 0)
  let position = 0
  for (let i = 0; i < result.length; i++) {
    result[i] = values[position]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += stride[axis]!
      if (++index[axis]! < shape[axis]!) break
      position -= stride[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return result
}

// ------------------------------------------------------------------------------------------------------------ checks

function checkByteOrder(archive: ZipArchive, folder: string, source: RandomAccess): void {
  const entry = archive.entries.get(`${folder}byteorder`)
  if (!entry || entry.size > 16) return
  const order = new TextDecoder().decode(archive.read(entry))
  if (order !== "little") throw refuse(source, `an archive of byte order ${JSON.stringify(order)}`)
}

function refuse(source: RandomAccess, what: string, hint = "use the model's safetensors file"): UserError {
  return new UserError(`${source.name} is ${messageOf(what)}`, hint)
}
