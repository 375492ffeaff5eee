/** The result of a benchmark of latency, as `mobileclip bench --json` prints it and other commands read it. */
import { z } from "zod"
import { oneLine, UserError } from "../../core/errors.ts"
import { modelDtypes } from "../../core/precision.ts"

export const latencyFormat = "mobileclip-latency"

const count = z.int().positive()
const positive = z.number().positive()

const row = z.object({
  model: z.string(),
  tower: z.enum(["image", "text"]),
  /** The key of the tower in the family's tables; rows of equal architecture and settings share one measurement. */
  architecture: z.string().nullable(),
  runtime: z.string(),
  /** Where it was computed: "cpu", or an execution provider of ONNX Runtime. */
  device: z.string(),
  dtype: z.enum(modelDtypes),
  /** Pictures or texts in one run. */
  batch: count,
  threads: count,
  /** Milliseconds of a run of the whole batch. */
  medianMs: positive,
  p95Ms: positive,
  /** The first run after the first loading, which warms up: it is in no other figure. */
  firstRunMs: positive,
  /** Runs that the median is of. */
  runs: count,
  /** Whether the median was known well enough, or the time for it had run out. */
  isStable: z.boolean(),
  /** Pictures or texts a second, by the median. */
  perSecond: positive,
  /** The multiply-adds of the median run over those of a matrix product at the same time; null where they are not known. */
  shareOfPeak: positive.nullable(),
  /** Billions of operations (two for a multiply-add) a second of the matrix product: the median of those around the runs. */
  peakGflops: positive,
  /** Change of the matrix product's rate from before the first to after the last run. */
  driftPercent: z.number(),
  /** Millions of bytes that a process that does nothing else is resident in at its worst, and milliseconds from its start to
   * its first vector; null on libtorch. */
  peakMemoryMb: positive.nullable(),
  coldStartMs: positive.nullable(),
  /** Learned values of the fused tower; null where they are not known. */
  parameters: count.nullable(),
  /** Multiply-adds for one picture or one text of full length, attention's products included. */
  macs: count.nullable(),
})

const schema = z.object({
  format: z.literal(latencyFormat),
  version: z.literal(1),
  machine: z.object({
    cpu: z.string(),
    cores: count,
    memoryGB: z.number(),
    os: z.string(),
    node: z.string(),
  }),
  options: z.object({
    runtime: z.string(),
    threads: count,
    devices: z.array(z.string()),
    dtypes: z.array(z.string()),
    batches: z.array(count),
    quick: z.boolean(),
  }),
  /** The highest rate of the matrix product that was measured in the whole benchmark. */
  peakGflops: positive,
  rows: z.array(row),
  /** What was left out, and why. */
  notes: z.array(z.string()),
})

export type LatencyRow = Readonly<z.infer<typeof row>>
export type LatencyReport = Readonly<z.infer<typeof schema>>

/** @param source a path, for the message. Throws UserError where `value` is not such a result. */
export function parseLatencyReport(value: unknown, source: string): LatencyReport {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw new UserError(
    `${source} is not a result of \`mobileclip bench --json\`: ${oneLine(path.join(".")) || "it"}: ${message}`,
    "mobileclip bench --family --json > latency.json",
  )
}

interface ModelLatency {
  readonly model: string
  readonly image: LatencyRow
  readonly text: LatencyRow
  /** For one picture and one text, in milliseconds. */
  readonly latencyMs: number
}

/** The latency of each model that has both towers at batch 1, in the first device and type it was measured in. */
export function modelLatencies({ rows }: Pick<LatencyReport, "rows">): ModelLatency[] {
  return [...new Set(rows.map(({ model }) => model))].flatMap((model) => {
    const own = rows.filter((row) => row.model === model && row.batch === 1)
    const image = own.find(({ tower }) => tower === "image")
    const text = own.find(
      ({ tower, device, dtype }) => tower === "text" && device === image?.device && dtype === image?.dtype,
    )
    return image && text ? [{ model, image, text, latencyMs: image.medianMs + text.medianMs }] : []
  })
}
