/**
 * Writes a dict of tensors as torch.save does, for `torch.load`: a zip archive of a pickle (protocol 2) and one
 * stored entry per tensor. Format: torch/serialization.py, caffe2/serialize/inline_container.cc.
 */
import { zipBytes } from "./zip-write.ts"

export interface TensorToSave {
  readonly dtype: "F32" | "BF16"
  readonly shape: readonly number[]
  /** BF16 as bits. */
  readonly values: Float32Array | Uint16Array
}

const storageTypes = { F32: "FloatStorage", BF16: "BFloat16Storage" } as const

/** The file, with one storage for each tensor. */
export function torchBytes(tensors: ReadonlyMap<string, TensorToSave>): Uint8Array {
  const entries = new Map<string, Uint8Array>([["archive/data.pkl", pickleOf(tensors)]])
  entries.set("archive/byteorder", Buffer.from("little"))
  for (const [key, { values }] of [...tensors.values()].entries()) {
    entries.set(`archive/data/${key}`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  entries.set("archive/version", Buffer.from("3\n"))
  return zipBytes(entries, { deflate: false, align: 64 })
}

function pickleOf(tensors: ReadonlyMap<string, TensorToSave>): Uint8Array {
  const items = [...tensors].flatMap(([name, tensor], key) => [text(name), rebuild(tensor, key)])
  return Buffer.concat([Buffer.of(0x80, 2), Buffer.from("}("), ...items, Buffer.from("u.")])
}

/** `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)` */
function rebuild({ dtype, shape, values }: TensorToSave, key: number): Uint8Array {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, size) => product * size, 1))
  return Buffer.concat([
    Buffer.from("ctorch._utils\n_rebuild_tensor_v2\n(("),
    ...[text("storage"), Buffer.from(`ctorch\n${storageTypes[dtype]}\n`), text(String(key)), text("cpu")],
    ...[integer(values.length), Buffer.from("tQ"), integer(0), tuple(shape), tuple(strides)],
    Buffer.from("\x89ccollections\nOrderedDict\n)RtR", "latin1"),
  ])
}

function tuple(values: readonly number[]): Uint8Array {
  return Buffer.concat([Buffer.from("("), ...values.map(integer), Buffer.from("t")])
}

function integer(value: number): Uint8Array {
  const bytes = Buffer.from("J....")
  bytes.writeInt32LE(value, 1)
  return bytes
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value)
  const head = Buffer.from("X....")
  head.writeUInt32LE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}
