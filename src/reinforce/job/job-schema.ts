/** A job as it comes from a server or a file: what no program of this version wrote is refused. */
import { z } from "zod"
import { oneLine, UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { modelDtypes } from "../../core/precision.ts"
import { type CheckJob, type Job, jobLimits, type QueueJob } from "./job.ts"

const dtype = z.enum(modelDtypes).nullable()
const models = { modelName: z.string().min(1), pretrained: z.string().nullable(), dtype }

const generate = z.strictObject({
  generationType: z.enum(["top_p", "top_k", "greedy", "beam_search"]).exactOptional(),
  seqLen: z.int().min(2).max(jobLimits.seqLen).exactOptional(),
  minSeqLen: z.int().nonnegative().max(jobLimits.seqLen).exactOptional(),
  topP: z.number().min(0).max(1).exactOptional(),
  topK: z.int().positive().max(jobLimits.topK).exactOptional(),
  temperature: z.number().positive().exactOptional(),
  numBeams: z.int().positive().max(jobLimits.numBeams).exactOptional(),
  numBeamGroups: z.int().positive().max(jobLimits.numBeams).exactOptional(),
  repetitionPenalty: z.number().positive().exactOptional(),
  fixedOutputLength: z.boolean().exactOptional(),
})

const caption = z.strictObject({
  kind: z.literal("caption"),
  ...models,
  suffixes: z.array(z.string()).min(1).max(jobLimits.models),
  perImage: z.int().positive().max(jobLimits.perImage),
  generate,
  whole: z.boolean(),
})

const range = z.tuple([z.number().positive(), z.number().positive()])
const triple = z.tuple([z.number(), z.number(), z.number()])

const augmentation = z.strictObject({
  randomResizedCrop: z.strictObject({
    size: z.int().min(1).max(16_384),
    interpolation: z.enum(["bicubic", "bilinear"]),
    scale: range,
    ratio: range,
  }),
  randAugment: z
    .strictObject({
      p: z.number().min(0).max(1),
      numOps: z.int().min(0).max(16),
      magnitude: z.int().nonnegative(),
      numMagnitudeBins: z.int().min(2).max(1000),
    })
    .nullable(),
})

const embedding = z.strictObject({
  kind: z.literal("embedding"),
  ...models,
  views: z.int().positive().max(jobLimits.views),
  augmentation,
  normalize: z.strictObject({ mean: triple, std: triple }).nullable(),
  synTextKeyRegex: z.string(),
  suffix: z.string(),
})

const jobSchema = z.strictObject({
  stage: z.discriminatedUnion("kind", [caption, embedding]),
  format: z.strictObject({
    output: z.enum(["webdataset", "jsonl"]),
    embeddings: z.enum(["npz", "pth.gz", "compact"]),
    textEmbeddings: z.enum(["separate", "joined"]),
    images: z.boolean(),
  }),
  seed: z.int().nonnegative(),
  minImageSize: z.int().positive(),
  truncated: z.literal("refuse").exactOptional(),
}) satisfies z.ZodType<Job>

const checkSchema = z.strictObject({
  kind: z.literal("verify"),
  folder: z.string().nullable(),
  shards: z.string(),
  identity: z.string().nullable(),
  teacherWidths: z.array(z.int().positive()).min(1).max(jobLimits.models).nullable(),
  samples: z.int().nonnegative(),
  seed: z.int().nonnegative(),
}) satisfies z.ZodType<CheckJob>

/**
 * @param where for the message: "job dr12m on the server"
 * @throws UserError that names the first setting which is missing, unknown or out of range
 */
export function parseJob(value: unknown, where: string): QueueJob {
  const isCheck = isObject(value) && Object.hasOwn(value, "kind")
  const { data, error } = (isCheck ? checkSchema : jobSchema).safeParse(value)
  if (data) return data
  const { path, message } = error.issues[0]!
  const place = path.length > 0 ? `${path.join(".")}: ` : ""
  throw new UserError(
    `the settings of ${where} cannot be used: ${oneLine(`${place}${message}`, 200)}`,
    "another version of mobileclip may have written them",
  )
}
