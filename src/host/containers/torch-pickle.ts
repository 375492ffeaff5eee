/**
 * What the pickle of a torch.save file may name: the functions that rebuild a tensor (torch/_utils.py), storage
 * classes, dtypes, and a few harmless companions that training checkpoints carry. Nothing here does more than keep
 * its arguments.
 */
import type { Budget } from "../../core/budget.ts"
import { mostNumbersAsKeys, PickleGlobal, readPickle } from "../../core/containers/pickle.ts"
import type { Dtype } from "../../core/containers/safetensors-header.ts"

/** A tensor as the pickle describes it; nothing about it has been checked. */
export class PickledTensor {
  constructor(
    readonly storage: unknown,
    /** Position of the first element; this and `strides` are in elements. */
    readonly offset: unknown,
    readonly shape: unknown,
    readonly strides: unknown,
    /** Given where the storage is of bytes and has no type. */
    readonly dtype?: unknown,
  ) {}
}

/** Where a tensor's values lie: in the entry `data/<key>` of the archive. */
export class PickledStorage {
  constructor(
    /** `torch.FloatStorage`, ... */
    readonly type: string,
    readonly key: string,
    /** Elements; bytes where `type` is that of an untyped storage. */
    readonly count: unknown,
  ) {}
}

/** Something that weights are stored beside and that says nothing about them. */
class Companion {
  setState(): void {}
}

/** Storage classes by name -> the type of their elements; null where a tensor of them cannot be read here. */
export const storageTypes: Readonly<Record<string, Dtype | "bytes" | null>> = {
  "torch.DoubleStorage": "F64",
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
  "torch.ComplexFloatStorage": null,
  "torch.ComplexDoubleStorage": null,
  "torch.QInt8Storage": null,
  "torch.QInt32Storage": null,
  "torch.QUInt8Storage": null,
  "torch.QUInt4x2Storage": null,
  "torch.QUInt2x4Storage": null,
  "torch.UntypedStorage": "bytes",
  "torch.storage.UntypedStorage": "bytes",
}

/** dtypes by name -> ours; null where a tensor of them cannot be read here. */
export const torchDtypes: Readonly<Record<string, Dtype | null>> = {
  "torch.float64": "F64",
  "torch.float32": "F32",
  "torch.float16": "F16",
  "torch.bfloat16": "BF16",
  "torch.int64": "I64",
  "torch.int32": "I32",
  "torch.int16": "I16",
  "torch.int8": "I8",
  "torch.uint8": "U8",
  "torch.bool": "BOOL",
  "torch.uint16": null,
  "torch.uint32": null,
  "torch.uint64": null,
  "torch.complex32": null,
  "torch.complex64": null,
  "torch.complex128": null,
  "torch.float8_e4m3fn": null,
  "torch.float8_e5m2": null,
  "torch.float8_e4m3fnuz": null,
  "torch.float8_e5m2fnuz": null,
}

const inert = () => new Companion()

const globals: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  "collections.OrderedDict": orderedDict,
  "collections.defaultdict": () => new Map(),
  "collections.Counter": () => new Map(),
  "torch._utils._rebuild_tensor": (...[storage, offset, shape, strides]) =>
    new PickledTensor(storage, offset, shape, strides),
  "torch._utils._rebuild_tensor_v2": (...[storage, offset, shape, strides]) =>
    new PickledTensor(storage, offset, shape, strides),
  "torch._utils._rebuild_tensor_v3": (...[storage, offset, shape, strides, , , dtype]) =>
    new PickledTensor(storage, offset, shape, strides, dtype),
  "torch._utils._rebuild_parameter": (tensor) => tensor,
  "torch._utils._rebuild_parameter_with_state": (tensor) => tensor,
  "torch.Size": (sizes) => sizes,
  ...Object.fromEntries([...Object.keys(storageTypes), ...Object.keys(torchDtypes)].map((name) => [name, inert])),
  ...Object.fromEntries(
    [
      ...["torch.device", "torch.storage._load_from_bytes", "argparse.Namespace", "_codecs.encode"],
      ...["numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"],
      ...["numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"],
      ...["builtins.set", "builtins.dict", "builtins.list", "builtins.int", "builtins.complex", "builtins.slice"],
      ...["__builtin__.set", "__builtin__.dict", "__builtin__.list", "__builtin__.int", "__builtin__.complex"],
      ...["numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer", "builtins.bytearray"],
      ...["builtins.frozenset", "__builtin__.frozenset"],
      ...["pathlib.PosixPath", "pathlib._local.PosixPath"],
    ].map((name) => [name, inert]),
  ),
}

/** The value of a torch.save pickle, its tensors as PickledTensor. Throws UserError naming any global but those above. */
export function readTorchPickle(bytes: Uint8Array, name: string, budget: Budget): unknown {
  return readPickle(bytes, { name, globals, persistentLoad, budget })
}

/** An empty dict, or one from a list of pairs; null where it has more numbers as keys than a dict may have. */
function orderedDict(pairs: unknown = []): unknown {
  const dict = new Map<unknown, unknown>()
  let numbers = 0
  for (const pair of Array.isArray(pairs) ? pairs : []) {
    if (!Array.isArray(pair)) continue
    if (typeof pair[0] !== "string" && ++numbers > mostNumbersAsKeys) return null
    dict.set(pair[0], pair[1])
  }
  return dict
}

/** ("storage", class, key, device, count); null for anything else, from which no tensor can be made. */
function persistentLoad(id: unknown): PickledStorage | null {
  const [kind, type, key, , count] = Array.isArray(id) ? id : []
  if (kind !== "storage" || !(type instanceof PickleGlobal) || typeof key !== "string") return null
  return new PickledStorage(type.name, key, count)
}
