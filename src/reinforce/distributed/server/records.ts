/** What is stored on the server beside the queue, as JSON, and what is read back from there. */
import { z } from "zod"
import { oneLine, quoted, UserError } from "../../../core/errors.ts"
import { parseJsonText } from "../../../data/json-text.ts"
import type { ShardResult } from "../../runner.ts"

const taskSchema = z.object({ index: z.int().nonnegative(), input: z.string(), output: z.string() }).readonly()

const problemSchema = z
  .object({ key: z.string().nullable(), reason: z.string(), action: z.enum(["dropped", "kept"]) })
  .readonly()

/** A shard that is done. All its problems stand in the record beside its output; here are the first of them. */
const completionSchema = z
  .object({
    index: z.int().nonnegative(),
    input: z.string(),
    output: z.string(),
    samples: z.number(),
    /** Samples that are not in the output. */
    dropped: z.number(),
    problems: z.array(problemSchema).readonly(),
    bytes: z.number(),
    sha256: z.string(),
    seconds: z.number(),
    /** Identity of the models that made it. */
    models: z.string(),
    worker: z.string(),
    /** Milliseconds since 1970. */
    at: z.number(),
  })
  .readonly()

const failureSchema = z.object({ worker: z.string(), reason: z.string(), at: z.number() }).readonly()

/** A machine's failure on a shard: `machine` is the name that its worker goes by. */
const outageSchema = z.object({ machine: z.string(), reason: z.string(), at: z.number() }).readonly()

/** What became of the deliveries of a shard that is not done. */
const attemptsSchema = z
  .object({
    /** Deliveries that workers gave back: no fault of the shard. */
    released: z.number(),
    failures: z.array(failureSchema).readonly(),
    /** Deliveries among the released ones that failed for the machine's sake, and the last failure of each machine. */
    outages: z.number(),
    outagesBy: z.array(outageSchema).readonly(),
  })
  .readonly()

const parkedSchema = z
  .object({
    index: z.int().nonnegative(),
    /** Null where the message was not one that the job could have published. */
    task: taskSchema.nullable(),
    reason: z.string(),
    tries: z.number(),
    failures: z.array(failureSchema).readonly(),
    at: z.number(),
  })
  .readonly()

const workerSchema = z
  .object({
    id: z.string(),
    host: z.string(),
    pid: z.number(),
    slots: z.number(),
    /** Shards at work, and how far they are. */
    shards: z.array(z.object({ index: z.number(), samples: z.number() }).readonly()).readonly(),
    shardsDone: z.number(),
    samplesPerSecond: z.number(),
    since: z.number(),
    at: z.number(),
  })
  .readonly()

/** In seconds; timers take no more than 2^31 milliseconds, and end at once beyond that. */
const longestTime = 1_000_000

const policySchema = z
  .object({
    /** Deliveries of a shard that may fail before it is parked. */
    maxTries: z.int().positive(),
    /** Seconds without progress after which a shard is abandoned. */
    stallSeconds: z.number().positive().max(longestTime),
    /** Before a shard that failed is delivered again; doubled with every further try. */
    retrySeconds: z.number().nonnegative().max(longestTime),
  })
  .readonly()

const jobSchema = z
  .object({
    /** Opaque here: what workers make their runner of. */
    spec: z.json(),
    specHash: z.string(),
    /** URL of the folder that all outputs are in. */
    output: z.string(),
    shards: z.int().nonnegative(),
    /** Hash of all tasks. */
    planHash: z.string(),
    at: z.number(),
  })
  .readonly()

/** What the models of all workers must be, from the first that finished a shard. */
const modelsSchema = z.object({ identity: z.string(), worker: z.string(), at: z.number() }).readonly()

export type Completion = z.infer<typeof completionSchema>
export type Attempts = z.infer<typeof attemptsSchema>
export type ParkedShard = z.infer<typeof parkedSchema>
export type WorkerRecord = z.infer<typeof workerSchema>
export type JobPolicy = z.infer<typeof policySchema>
export type JobRecord = z.infer<typeof jobSchema>
export type JobModels = z.infer<typeof modelsSchema>
export type Json = z.infer<ReturnType<typeof z.json>>

export const schemas = {
  task: taskSchema,
  completion: completionSchema,
  attempts: attemptsSchema,
  parked: parkedSchema,
  worker: workerSchema,
  policy: policySchema,
  job: jobSchema,
  models: modelsSchema,
  stop: z.object({ reason: z.string() }).readonly(),
} as const

/** What somebody should know, in a line. */
export type Note = (text: string) => void

/** @throws UserError for what no program of this version wrote */
export function parseRecord<T>(schema: z.ZodType<T>, entry: { string(): string }, what: string): T {
  try {
    return schema.parse(parseJsonText(entry.string()))
  } catch (error) {
    throw new UserError(unreadable(entry, what), "another version of mobileclip may have written it", { cause: error })
  }
}

/** Null, with a note, for what no program of this version wrote: one bad entry must not end those who read it. */
export function readRecord<T>(schema: z.ZodType<T>, entry: { string(): string }, what: string, note: Note): T | null {
  const { data } = schema.safeParse(parseJson(entry))
  if (data === undefined) note(unreadable(entry, what))
  return data ?? null
}

function unreadable(entry: { string(): string }, what: string): string {
  return `${what} on the server is not readable: ${quoted(entry.string())}`
}

/** What nests so deep that a schema's recursion would not end well is not readable either. */
function parseJson(entry: { string(): string }): unknown {
  try {
    return parseJsonText(entry.string())
  } catch {
    return undefined
  }
}

/** Problems of a shard that are kept on the server; a message there may have a megabyte at most. */
const keptProblems = 20

export function completionOf(result: ShardResult, worker: string): Completion {
  const { problems, ...rest } = result
  return {
    ...rest,
    dropped: problems.filter(({ action }) => action === "dropped").length,
    problems: problems.slice(0, keptProblems).map((problem) => ({ ...problem, reason: oneLine(problem.reason, 300) })),
    worker,
    at: Date.now(),
  }
}
