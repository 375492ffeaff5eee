/** What is embedded: files of pictures, or texts. */
import { resolve } from "node:path"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { decodeText } from "../core/text/decode-text.ts"
import { readBytes, requireSmall } from "../host/files/files.ts"
import { type EncodeFilesOptions, encodeFiles } from "../pictures/encode-files.ts"
import type { EmbedEncoder } from "./open-encoder.ts"
import type { RowFacts } from "./part-writer.ts"

export type Inputs = {
  /** Paths of pictures, or texts, each a row. */
  readonly items: readonly string[]
} & ({ readonly kind: "pictures" } | { readonly kind: "texts" })

export type Embedded = { readonly item: string } & (
  | {
      readonly facts: RowFacts
      /** Unit vectors [embedDim], one for each encoder. */
      readonly vectors: readonly Float32Array[]
    }
  | { readonly error: UserError }
)

/** Absolute paths, each once: what is written down does not depend on the working folder. */
export function pictureInputs(paths: readonly string[]): Inputs {
  return { kind: "pictures", items: [...new Set(paths.map((path) => resolve(path)))] }
}

/** In their order, a batch at a time. What a row is depends on the items that are given here, and on no others. */
export async function* embedded(
  { kind, items }: Inputs,
  encoders: readonly EmbedEncoder[],
  options: EncodeFilesOptions & { readonly batchSize: number },
): AsyncGenerator<Embedded[]> {
  const batches = kind === "pictures" ? pictures(items, encoders, options) : texts(items, encoders, options)
  for await (const batch of batches) {
    for (const item of batch)
      if ("vectors" in item) for (const vector of item.vectors) l2Normalize(vector, vector.length)
    yield batch
  }
}

async function* pictures(
  paths: readonly string[],
  encoders: readonly EmbedEncoder[],
  options: EncodeFilesOptions,
): AsyncGenerator<Embedded[]> {
  for await (const batch of encodeFiles(paths, encoders, options)) {
    const rows = batch.map(async (file): Promise<Embedded> => {
      const item = file.source
      if ("error" in file) return { item, error: ofInput(file.error) }
      const caption = await captionBeside(item)
      if (caption instanceof UserError) return { item, error: ofInput(caption) }
      return { item, facts: { image_path: item, caption }, vectors: file.vectors }
    })
    yield await Promise.all(rows)
  }
}

async function* texts(
  lines: readonly string[],
  encoders: readonly EmbedEncoder[],
  { batchSize, signal }: { readonly batchSize: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Embedded[]> {
  for (let from = 0; from < lines.length; from += batchSize) {
    signal?.throwIfAborted()
    const batch = lines.slice(from, from + batchSize)
    const all: Float32Array[] = []
    for (const encoder of encoders) all.push(await encoder.encodeTexts(batch))
    yield batch.map((item, i) => ({
      item,
      facts: { caption: item },
      vectors: encoders.map(({ embedDim }, e) => all[e]!.slice(i * embedDim, (i + 1) * embedDim)),
    }))
  }
}

const largestCaption = 2 ** 20

/** The text of a file beside a picture, of the same name with .txt; null where there is none. */
async function captionBeside(path: string): Promise<string | null | UserError> {
  const beside = path.replace(/\.[^./\\]+$/, ".txt")
  try {
    return decodeText(await readBytes(beside, requireSmall(beside, largestCaption)), beside).trim()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return codeOf(error) === "ENOENT" ? null : error
  }
}

/** A machine that fails is not its input's fault, but a file that may not be read is one among others. */
function ofInput(error: UserError): UserError {
  if (error instanceof EnvironmentError && !["EACCES", "EPERM"].includes(codeOf(error))) throw error
  return error
}

function codeOf({ cause }: UserError): string {
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? ""
}
