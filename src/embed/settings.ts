/** `embed.json`: what the vectors of a folder are of, and what made them. Vectors of other settings never join them. */
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { z } from "zod"
import { oneLine, UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { modelDtypes } from "../core/precision.ts"
import { readJson } from "../host/files/files.ts"
import type { PictureReading } from "../pictures/reading.ts"
import type { RuntimeRecord } from "../teachers/choose-runtime.ts"
import type { Inputs } from "./inputs.ts"
import type { EmbedEncoder } from "./open-encoder.ts"

export const settingsFile = "embed.json"

export const embedFormat = "mobileclip-embed-1"

/** "clip-retrieval": `.npy` and parquet; "jsonl": a line for each vector. */
export const embedOutputs = ["clip-retrieval", "jsonl"] as const
export const storedTypes = ["float32", "float16"] as const

export interface EmbedSettings {
  readonly format: typeof embedFormat
  readonly model: string
  /** Files of the weights with their hashes, and what else the numbers depend on. */
  readonly identity: string
  readonly embedDim: number
  readonly preprocessing: Preprocessing
  /** Vectors are of unit length. */
  readonly normalised: true
  /** What computed them, and what chose it. */
  readonly computed: RuntimeRecord
  /** Null for texts. */
  readonly reading: (PictureReading & { readonly maxPixels: number }) | null
  readonly output: (typeof embedOutputs)[number]
  readonly store: (typeof storedTypes)[number]
  /** Inputs that a model takes at a time: rows depend on it in their last digits. */
  readonly batchSize: number
  /** Inputs of a part. */
  readonly partSize: number
  readonly inputs: InputsSummary
}

/** What is embedded, without the whole list. */
interface InputsSummary {
  readonly kind: Inputs["kind"]
  readonly count: number
  /** Digest of the absolute paths, or of the texts, each with a NUL after it. */
  readonly sha256: string
}

export function summaryOf(kind: InputsSummary["kind"], items: readonly string[]): InputsSummary {
  const hash = createHash("sha256")
  for (const item of items) hash.update(item).update("\0")
  return { kind, count: items.length, sha256: hash.digest("hex") }
}

type Chosen = Pick<EmbedSettings, "reading" | "output" | "store" | "batchSize" | "partSize" | "inputs">

export function settingsOf(encoder: EmbedEncoder, chosen: Chosen): EmbedSettings {
  const { name, identity, embedDim, preprocessing, computed } = encoder
  const about = { model: name, identity, embedDim, preprocessing, normalised: true, computed } as const
  return { format: embedFormat, ...about, ...chosen }
}

/** Throws UserError that names what differs from a folder's own settings. */
export function requireSameSettings(
  folder: string,
  found: Readonly<Record<string, unknown>>,
  wanted: EmbedSettings,
): void {
  if (found.format !== embedFormat) {
    const format = typeof found.format === "string" ? oneLine(found.format) : "none"
    throw new UserError(
      `${folder} was written in format ${format}, and this version writes ${embedFormat}`,
      "choose another folder for --out, or go on with the version that began it",
    )
  }
  const differing = (Object.keys(wanted) as (keyof EmbedSettings)[]).filter(
    (name) => JSON.stringify(compared(name, found[name])) !== JSON.stringify(compared(name, wanted[name])),
  )
  if (differing.length === 0) return
  // Of another model or preprocessing, which are said, the identity is another one in any case.
  const isSaid = differing.includes("model") || differing.includes("preprocessing")
  const said = differing.filter((name) => !(name === "identity" && isSaid))
  throw new UserError(
    `${folder} holds vectors of other settings: ${said.map((name) => differenceIn(name, found[name], wanted[name])).join("; ")}`,
    "give the same inputs and options to go on, or choose another folder for --out",
  )
}

/** Measurements, and who chose, are another time others. */
function compared(name: string, value: unknown): unknown {
  if (name !== "computed") return value
  const { runtime, device, dtype } = Object(value) as Partial<RuntimeRecord>
  return { runtime, device, dtype }
}

function differenceIn(name: string, before: unknown, now: unknown): string {
  if (name === "inputs")
    return `the list of ${(now as InputsSummary).kind} is another one (${countText(before)}, now ${countText(now)})`
  if (name === "identity") return "the model's weights are other ones"
  const text = (value: unknown) => oneLine(JSON.stringify(compared(name, value)) ?? "absent", 200)
  return `${name} was ${text(before)} and is ${text(now)}`
}

function countText(inputs: unknown): string {
  const { count, kind } = Object(inputs) as Partial<InputsSummary>
  return `${count ?? "unknown"} ${kind ?? "inputs"}`
}

const computed = z.object({
  runtime: z.enum(["onnxruntime", "libtorch"]),
  device: z.enum(["cpu", "cuda"]),
  dtype: z.enum(modelDtypes),
  chosenBy: z.enum(["user", "measurement", "default"]),
  cosine: z.number().nullable(),
  milliseconds: z.number().nullable(),
})

/** What computed the vectors of a folder; null where it has no settings that say so. */
export async function computedIn(folder: string): Promise<RuntimeRecord | null> {
  const place = join(folder, settingsFile)
  if (!existsSync(place)) return null
  const found = z.object({ computed }).safeParse(await readJson(place, "the settings of a folder of vectors"))
  return found.success ? found.data.computed : null
}
