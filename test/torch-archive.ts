/** Writes what torch.save writes, for tests: a zip archive of a pickle (protocol 2) and the storages it refers to. */
import { type ZipOptions, zipArchive } from "./zip-archive.ts"

/** A value that `pickle` writes as Python would: Map is a dict, an array a list. */
export type Pickled = null | boolean | number | bigint | string | readonly Pickled[] | Map<Pickled, Pickled> | Special

type Special =
  | { readonly kind: "tuple"; readonly items: readonly Pickled[] }
  | { readonly kind: "global"; readonly module: string; readonly name: string }
  | { readonly kind: "call"; readonly callee: Pickled; readonly args: Pickled }
  | { readonly kind: "build"; readonly object: Pickled; readonly state: Pickled }
  | { readonly kind: "persistent"; readonly id: Pickled }

export const tuple = (...items: readonly Pickled[]): Pickled => ({ kind: "tuple", items })

/** `globalOf("collections.OrderedDict")` */
export function globalOf(path: string): Pickled {
  const dot = path.lastIndexOf(".")
  return { kind: "global", module: path.slice(0, dot), name: path.slice(dot + 1) }
}

export function call(path: string, ...args: readonly Pickled[]): Pickled {
  return { kind: "call", callee: globalOf(path), args: tuple(...args) }
}

export function pickle(value: Pickled): Uint8Array {
  return Buffer.concat([Buffer.of(0x80, 2), ...chunks(value), Buffer.from(".")])
}

function chunks(value: Pickled): Uint8Array[] {
  if (value === null) return [Buffer.from("N")]
  if (typeof value === "boolean") return [Buffer.of(value ? 0x88 : 0x89)]
  if (typeof value === "number" || typeof value === "bigint") return [number(value)]
  if (typeof value === "string") return [text(value)]
  if (value instanceof Map) return [Buffer.from("}("), ...[...value].flat().flatMap(chunks), Buffer.from("u")]
  if ("kind" in value) return special(value)
  return [Buffer.from("]("), ...value.flatMap(chunks), Buffer.from("e")]
}

function special(value: Special): Uint8Array[] {
  switch (value.kind) {
    case "tuple":
      return [Buffer.from("("), ...value.items.flatMap(chunks), Buffer.from("t")]
    case "global":
      return [Buffer.from(`c${value.module}\n${value.name}\n`)]
    case "call":
      return [...chunks(value.callee), ...chunks(value.args), Buffer.from("R")]
    case "build":
      return [...chunks(value.object), ...chunks(value.state), Buffer.from("b")]
    case "persistent":
      return [...chunks(value.id), Buffer.from("Q")]
  }
}

function number(value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(10)
  if (typeof value === "number" && !Number.isInteger(value)) {
    bytes.write("G")
    bytes.writeDoubleBE(value, 1)
    return bytes.subarray(0, 9)
  }
  if (value >= -(2 ** 31) && value < 2 ** 31) {
    bytes.write("J")
    bytes.writeInt32LE(Number(value), 1)
    return bytes.subarray(0, 5)
  }
  bytes.set([0x8a, 8])
  bytes.writeBigInt64LE(BigInt(value), 2)
  return bytes
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([Buffer.from("X"), length, bytes])
}

/** A storage of an archive. */
export interface Storage {
  /** `FloatStorage`, `HalfStorage`, ... */
  readonly type: string
  readonly key: string
  readonly values: ArrayBufferView & { readonly length: number }
}

interface View {
  readonly offset?: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** A tensor that looks at a storage. */
export function tensorOf(storage: Storage, { offset = 0, shape, strides }: View): Pickled {
  const id = tuple("storage", globalOf(`torch.${storage.type}`), storage.key, "cpu", storage.values.length)
  const args = [{ kind: "persistent", id } as const, offset, tuple(...shape), tuple(...strides), false]
  return call("torch._utils._rebuild_tensor_v2", ...args, call("collections.OrderedDict"))
}

interface ArchiveOptions extends ZipOptions {
  readonly root?: string
  /** More entries, below the root; they replace those of the same name. */
  readonly extra?: Readonly<Record<string, Uint8Array>>
}

/** The file that torch.save makes of a value that refers to these storages. */
export function torchArchive(value: Pickled, storages: readonly Storage[], options: ArchiveOptions = {}): Uint8Array {
  const { root = "archive/", extra = {} } = options
  const entries = new Map<string, Uint8Array>([["data.pkl", pickle(value)]])
  entries.set("byteorder", Buffer.from("little"))
  for (const { key, values } of storages) {
    entries.set(`data/${key}`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  entries.set("version", Buffer.from("3\n"))
  entries.set(".data/serialization_id", Buffer.from("0".repeat(40)))
  for (const [name, content] of Object.entries(extra)) entries.set(name, content)
  return zipArchive(new Map([...entries].map(([name, content]) => [root + name, content])), { align: 64, ...options })
}
