/** The output of a job with what may be wrong with it, and what a check of it has to say. */
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { encodeSamples } from "../src/data/reinforced/encode.ts"
import type { ReinforcedSample } from "../src/data/reinforced/sample.ts"
import { defaultFormat } from "../src/reinforce/job/job.ts"
import { pictureSamples } from "./training-samples.ts"

/** Five shards of 16 samples, and one that no record speaks of. */
export async function writeDamagedShards(output: string): Promise<void> {
  mkdirSync(join(output, "_done"), { recursive: true })
  const write = (name: string, samples: readonly ReinforcedSample[], recorded: object = {}) =>
    writeRecorded(output, name, samples, recorded)
  const samples = await pictureSamples(15)
  // Eight that are sound tell how wide the teachers are.
  await write("0.tar", samples.slice(0, 8))
  await write("1.tar", [
    samples[8]!,
    long(samples[9]!),
    samples[1]!,
    { ...samples[10]!, paramAug: outside(samples[10]!) },
  ])
  await write("2.tar", [samples[8]!, samples[11]!], { sha256: "0".repeat(64), samples: 3 })
  await write("3.tar", samples.slice(12, 14))
  await write("4.tar", [noPicture(samples[14]!), samples[0]!])
  writeFileSync(join(output, "3.tar"), "")
  writeFileSync(join(output, "5.tar"), "of a job that was stopped")
  const line = { shard: "x", key: null, reason: "picture 7 is too small", action: "dropped" }
  writeFileSync(join(output, "failures.jsonl"), `${JSON.stringify(line)}\n`)
}

async function writeRecorded(
  output: string,
  name: string,
  samples: readonly ReinforcedSample[],
  recorded: object,
): Promise<void> {
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, defaultFormat)) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const sha256 = createHash("sha256").update(bytes).digest("hex")
  writeFileSync(join(output, name), bytes)
  const record = { samples: samples.length, sha256, bytes: bytes.length, models: "m", ...recorded }
  writeFileSync(join(output, "_done", `${name}.json`), JSON.stringify(record))
}

/** With a vector of another length. */
function long(sample: ReinforcedSample): ReinforcedSample {
  const image = sample.embeddings.get("image_emb")!
  const values = image.values.map((value, i) => (i < 8 ? 2 * value : value))
  return { ...sample, embeddings: new Map([...sample.embeddings, ["image_emb", { ...image, values }]]) }
}

function outside({ paramAug }: ReinforcedSample): ReinforcedSample["paramAug"] {
  return paramAug!.map((view, i) => (i === 1 ? [[0, 0, 4000, 1], null] : view))
}

function noPicture(sample: ReinforcedSample): ReinforcedSample {
  return { ...sample, image: { extension: "jpg", bytes: Buffer.from("\xff\xd8\xff and nothing else", "latin1") } }
}

/** As they lie in the shards; a key that came before is told before what is wrong with its sample. */
export const damages: readonly (readonly [shard: string, key: string | null, reason: string | RegExp])[] = [
  ["5.tar", null, "the folder has no record of it: its job was stopped"],
  ["1.tar", "s9", "image_emb: row 0 has the length 2.0000 in the part of teacher 0, and 1 was expected"],
  ["1.tar", "s1", "an earlier sample has the same key"],
  ["1.tar", "s10", /^view 1: the crop \[0, 0, 4000, 1\] is not inside the picture of/],
  ["2.tar", null, "its content is not what was recorded when it was complete (sha256)"],
  ["2.tar", "s8", "an earlier sample has the same key"],
  ["2.tar", null, "it holds 2 samples, and 3 were recorded"],
  ["3.tar", null, "its content is not what was recorded when it was complete (sha256)"],
  ["3.tar", null, /3\.tar is empty$/],
  ["4.tar", "s14", "its picture is not a picture, or its header is damaged"],
  ["4.tar", "s0", "an earlier sample has the same key"],
]
