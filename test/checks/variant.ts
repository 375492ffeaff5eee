/** A released model of the family: our table has its configuration, and its preprocessing gives the reference's values. */
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { preprocess } from "../../src/core/image/preprocess.ts"
import { decodeImage } from "../../src/host/image/images.ts"
import { findVariant, normal } from "./alias.ts"
import { type Check, exact, mismatches } from "./check.ts"
import { clipConfig, type GoldenConfig } from "./modelConfig.ts"

/** By picture: what the network would see, [3, size, size] in float32, little-endian. */
export type GoldenTransform = Readonly<Record<string, Transformed>>

interface Transformed {
  readonly sha256_float32: string
  readonly first4: readonly number[]
  readonly last4: readonly number[]
}

/** @param file of the model, beside whose folder that of the pictures lies */
export async function* checkVariant(
  golden: GoldenConfig & { readonly variant: string },
  transform: GoldenTransform,
  file: string,
): AsyncIterable<Check> {
  const variant = findVariant(golden.variant)
  const isSame = isDeepStrictEqual(normal(variant?.model), normal(clipConfig(golden)))
  yield exact(`"${golden.variant}" is in the variant table, with this configuration`, isSame)
  if (!variant) return
  const pictures = join(dirname(file), "..", "..", "preprocess")
  for (const [name, expected] of Object.entries(transform)) {
    const values = preprocess(await decodeImage(join(pictures, name)), variant.preprocessing)
    const ends = [...values.subarray(0, 4), ...values.subarray(-4)]
    const wanted = [...expected.first4, ...expected.last4].map(Math.fround)
    yield mismatches(`${name}, first and last values`, ends.filter((value, i) => value !== wanted[i]).length)
    yield exact(`${name}, all values, checksum`, sha256(values) === expected.sha256_float32)
  }
}

function sha256(values: Float32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex")
}
