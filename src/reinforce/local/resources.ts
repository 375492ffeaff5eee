/** How a machine does the work; nothing of it changes what comes out, but for rounding. */
import { usableProcessors } from "../../host/processors.ts"

export interface ResourceRequest {
  /** Processes, each with its own copy of the models. Default: one for 4 processors. */
  readonly workers?: number
  /** Views, texts or images that a model takes at a time; default 64. */
  readonly batchSize?: number
  /** Processor threads of a worker's models. Default: all, shared out. */
  readonly threads?: number
  /** Threads of a worker that decode and augment. Default: what models leave. */
  readonly augmentThreads?: number
  /** What runs the models. Default: by what they are. */
  readonly runtime?: "onnxruntime" | "libtorch"
  /** Where models compute; default "cpu". */
  readonly device?: "cpu" | "cuda"
}

export const resourceDefaults = { batchSize: 64, device: "cpu" } as const satisfies ResourceRequest

/** What one worker process gets of the machine. */
export interface Resources {
  readonly batchSize: number
  readonly threads: number
  readonly augmentThreads: number
  readonly runtime: "onnxruntime" | "libtorch" | null
  readonly device: "cpu" | "cuda"
}

export interface Shared {
  readonly workers: number
  readonly resources: Resources
}

/** @param shards that are to be done: more workers have nothing to do */
export function shareOut(request: ResourceRequest, shards: number): Shared {
  const processors = usableProcessors().count
  const { batchSize, device, runtime = null, augmentThreads, ...wanted } = { ...resourceDefaults, ...request }
  const workers = Math.max(1, Math.min(wanted.workers ?? Math.max(1, Math.floor(processors / 4)), shards))
  const threads = wanted.threads ?? Math.max(1, Math.floor(processors / workers))
  // Models on a processor use it up; beside a GPU it is there for the pictures.
  const left = device === "cpu" ? 0 : Math.max(1, Math.floor(processors / workers) - 1)
  return { workers, resources: { batchSize, threads, augmentThreads: augmentThreads ?? left, runtime, device } }
}
