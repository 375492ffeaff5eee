/** Embeddings as members of a shard: `npz` (float32), `pth.gz` (a gzip'd torch.save file) and our compact `cemb`. */
import { gunzipSync, gzipSync } from "node:zlib"
import { float32ToBfloat16 } from "../../core/arrays/half.ts"
import { bytesAsSource, type TensorValues, toFloat32 } from "../../core/containers/safetensors.ts"
import { type Dtype, dtypes } from "../../core/containers/safetensors-header.ts"
import { spanOf } from "../../core/containers/strides.ts"
import { messageOf, oneLine, quoted, UserError } from "../../core/errors.ts"
import { npzBytes, readNpz } from "../../host/containers/npz.ts"
import { TorchFile } from "../../host/containers/torch-file.ts"
import { torchBytes } from "../../host/containers/torch-write.ts"
import { runLengths } from "../../host/containers/zip-write.ts"
import { decodeCompact, encodeCompact } from "./compact.ts"
import type { Embeddings } from "./sample.ts"
import { EmbeddingBudget } from "./sample-budget.ts"

/** Kinds of members that hold embeddings, by extension, in the order in which readers prefer them. */
export const embeddingKinds = ["npz", "pth.gz", "compact"] as const

export type EmbeddingKind = (typeof embeddingKinds)[number]

export const embeddingExtensions = {
  npz: "npz",
  "pth.gz": "pth.gz",
  compact: "cemb",
} as const satisfies Record<EmbeddingKind, string>

/**
 * Throws a UserError that begins with the extension on a member that is damaged, holds anything but matrices of numbers, or would
 * take more memory than its size allows.
 */
export async function readEmbeddings(kind: EmbeddingKind, bytes: Uint8Array): Promise<Map<string, Embeddings>> {
  const budget = new EmbeddingBudget(bytes.length, embeddingExtensions[kind])
  switch (kind) {
    case "npz":
      return readNpzMember(bytes, budget)
    case "pth.gz":
      return readTorchMember(unzip(bytes, kind, budget), budget)
    case "compact":
      return decodeCompact(bytes, embeddingExtensions[kind], budget)
  }
}

/** Equal embeddings give equal bytes. `pth.gz` rounds to bfloat16, `compact` to its step. */
export function writeEmbeddings(kind: EmbeddingKind, embeddings: ReadonlyMap<string, Embeddings>): Uint8Array {
  const arrays = [...embeddings].map(([name, { rows, width, values }]) => ({ name, shape: [rows, width], values }))
  switch (kind) {
    case "npz":
      return npzBytes(new Map(arrays.map((array) => [array.name, array])))
    case "pth.gz": {
      const halves = arrays.map(({ name, shape, values }) => {
        return [name, { dtype: "BF16", shape, values: float32ToBfloat16(values) }] as const
      })
      return gzip(torchBytes(new Map(halves)))
    }
    case "compact":
      return encodeCompact(embeddings)
  }
}

/** Compresses without a time, and without the system's number, which differs between machines. */
export function gzip(bytes: Uint8Array): Uint8Array {
  const zipped = gzipSync(bytes, runLengths)
  zipped[9] = 255
  return zipped
}

/** Throws a UserError that begins with `name`, also where the content exceeds the budget. */
export function unzip(bytes: Uint8Array, name: string, budget: EmbeddingBudget): Uint8Array {
  const unpacked = gunzip(bytes, name, budget.total)
  budget.take(unpacked.length, name)
  return unpacked
}

function gunzip(bytes: Uint8Array, name: string, most: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: most })
  } catch (error) {
    throw new UserError(`${name}: cannot be unzipped (${messageOf(error)})`, undefined, { cause: error })
  }
}

async function readNpzMember(bytes: Uint8Array, budget: EmbeddingBudget): Promise<Map<string, Embeddings>> {
  const arrays = await readNpz(bytes, "npz", budget)
  return new Map([...arrays].map(([name, { dtype, shape, values }]) => [name, matrix(name, dtype, shape, values, budget)])) // biome-ignore format: one line
}

/** Several tensors may be views of one storage; each becomes a copy here. */
async function readTorchMember(bytes: Uint8Array, budget: EmbeddingBudget): Promise<Map<string, Embeddings>> {
  const file = await TorchFile.open(bytesAsSource("pth.gz", bytes))
  const arrays = new Map<string, Embeddings>()
  for (const [name, { dtype, shape, strides }] of file.tensors) {
    budget.take(spanOf(shape, strides) * dtypes[dtype].BYTES_PER_ELEMENT, quoted(name))
    arrays.set(name, matrix(name, dtype, shape, file.read(name), budget))
  }
  return arrays
}

const floats: readonly Dtype[] = ["F16", "BF16", "F32", "F64"]

/** Throws UserError on anything but two dimensions of floats, and where they exceed the budget. */
export function matrix(
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  values: TensorValues,
  budget: EmbeddingBudget,
): Embeddings {
  const [rows, width] = shape
  if (rows === undefined || width === undefined || shape.length !== 2 || !floats.includes(dtype)) {
    throw new UserError(
      `${quoted(name)} is [${oneLine(shape.join())}] of ${dtype}, and rows of float vectors were expected`,
    )
  }
  budget.takeMatrix(name, rows, width)
  return { rows, width, values: toFloat32(values, dtype), dtype: dtype === "BF16" ? "bfloat16" : "float32" }
}
