/**
 * Writes shards of reinforced samples in the published layouts or our compact one. Equal samples give equal bytes
 * on every machine: no times, owners or host names, and no compression that depends on the processor.
 */

import { bfloat16ToFloat32, float32ToBfloat16 } from "../../core/arrays/half.ts"
import { UserError } from "../../core/errors.ts"
import { formatExactJson } from "../json-text.ts"
import { type Sample, shardChunks } from "../shards.ts"
import type { EmbeddingKind } from "./embeddings.ts"
import { recordOfSample } from "./jsonl/json-record.ts"
import type { Embeddings, ReinforcedSample } from "./sample.ts"
import { membersOfSample } from "./tar/members.ts"
import { arrangeTextEmbeddings, type TextEmbeddings } from "./text-embeddings.ts"

export interface SampleFormat {
  readonly output: "webdataset" | "jsonl"
  /** `npz` keeps float32, `pth.gz` bfloat16, `compact` steps of 1/900. JSONL has float32; at `pth.gz`, rounded ones. */
  readonly embeddings: EmbeddingKind
  /** Whether embeddings of synthetic captions follow those of the original ones (DataCompDR) or have their own array (DFNDR). */
  readonly textEmbeddings: TextEmbeddings
  /** Whether pictures are written. */
  readonly images: boolean
}

/** The file's bytes. Throws UserError on a combination that no layout has, and on samples that the layout cannot hold. */
export async function* encodeSamples(
  samples: AsyncIterable<ReinforcedSample> | Iterable<ReinforcedSample>,
  format: SampleFormat,
): AsyncGenerator<Uint8Array> {
  if (format.output === "webdataset") {
    yield* shardChunks(tarSamples(samples, format))
    return
  }
  if (format.embeddings === "compact") {
    throw new UserError("JSONL has no compact embeddings", "choose npz or pth.gz for JSONL, or webdataset output")
  }
  for await (const sample of samples) {
    const arranged = arrange(sample, format)
    const embeddings = format.embeddings === "pth.gz" ? rounded(arranged.embeddings) : arranged.embeddings
    yield Buffer.from(`${formatExactJson(recordOfSample({ ...arranged, embeddings }))}\n`)
  }
}

async function* tarSamples(
  samples: AsyncIterable<ReinforcedSample> | Iterable<ReinforcedSample>,
  format: SampleFormat,
): AsyncGenerator<Sample> {
  for await (const sample of samples) {
    yield { key: sample.key, members: membersOfSample(arrange(sample, format), format.embeddings) }
  }
}

function arrange(sample: ReinforcedSample, { images, textEmbeddings }: SampleFormat): ReinforcedSample {
  const embeddings = arrangeTextEmbeddings(sample, textEmbeddings)
  return { ...sample, embeddings, image: images ? sample.image : null }
}

function rounded(embeddings: ReadonlyMap<string, Embeddings>): Map<string, Embeddings> {
  const round = (values: Float32Array) => bfloat16ToFloat32(float32ToBfloat16(values))
  return new Map([...embeddings].map(([name, array]) => [name, { ...array, values: round(array.values) }]))
}
