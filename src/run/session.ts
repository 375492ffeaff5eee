/** ONNX graphs in Node, on onnxruntime-node. */
import "../host/no-telemetry.ts"

import { dirname, join } from "node:path"
import * as ort from "onnxruntime-node"
import { EnvironmentError, messageOf, oneLine, UserError } from "../core/errors.ts"
import { usableProcessors } from "../host/processors.ts"
import { GraphCache, graphFile, weightsFile } from "./graph-cache.ts"
import type { LoadOptions } from "./load-options.ts"
import { OrtGraph } from "./ort-graph.ts"

export type SessionOptions = ort.InferenceSession.SessionOptions

type Session = ort.InferenceSession

export function sessionOptions({
  threads = usableProcessors().count,
  provider = "cpu",
  spinning = true,
  prepacking = true,
}: LoadOptions): SessionOptions {
  const session = {
    ...(spinning ? {} : { intra_op: { allow_spinning: "0" } }),
    ...(prepacking ? {} : { disable_prepacking: "1" }),
  }
  const extra = Object.keys(session).length > 0 ? { extra: { session } } : {}
  return { intraOpNumThreads: threads, executionProviders: [provider], ...extra }
}

/** For manifests: what computed a figure. */
export function runtimeName(): string {
  return `onnxruntime-node ${ort.env.versions.node}`
}

interface Keeping {
  /** Keeps the optimised graph; default: it is made each time. */
  readonly cache?: GraphCache | null
  /** Is told where the optimised graph is from, when the graph is opened. */
  readonly onChoice?: LoadOptions["onChoice"]
}

/** A file of `directory`, whose optimised graph is kept for the next start. */
export function openGraph(directory: string, file: string, options: LoadOptions): OnnxGraph {
  const { onChoice } = options
  return new OnnxGraph(directory, file, sessionOptions(options), { cache: cacheFor(options), onChoice })
}

/** A file of `directory`. */
export class OnnxGraph extends OrtGraph {
  constructor(directory: string, file: string, options: SessionOptions, keeping: Keeping = {}) {
    super(file, ort.Tensor, () => createSession({ directory, file, options, ...keeping }))
  }
}

interface Opening extends Keeping {
  readonly directory: string
  readonly file: string
  readonly options: SessionOptions
}

async function createSession(opening: Opening): Promise<Session> {
  const { directory, file, options, cache } = opening
  const path = join(directory, ...file.split("/"))
  try {
    const session = cache && ((await keptSession(cache, path, opening)) ?? (await keepSession(cache, path, opening)))
    return session ?? (await ort.InferenceSession.create(path, options))
  } catch (error) {
    if (/protobuf parsing failed/i.test(messageOf(error))) throw damaged(path, error)
    const provider = options.executionProviders?.[0] ?? "cpu"
    const hint = provider === "cpu" ? undefined : "leave the device out: the processor computes then"
    const reason = oneLine(messageOf(error).trim(), longestReason)
    throw new UserError(`${path} cannot be loaded on "${provider}": ${reason}`, hint, { cause: error })
  }
}

/** ONNX Runtime begins with paths of its own sources. */
const longestReason = 400

/** From the cache; null where it is not there, or the runtime refuses it. */
async function keptSession(cache: GraphCache, path: string, { file, options, onChoice }: Opening) {
  const found = await cache.find(path).catch(() => null)
  if (found === null) return null
  try {
    const session = await ort.InferenceSession.create(found, { ...options, graphOptimizationLevel: "disabled" })
    onChoice?.(`${file}: the optimised graph is from the cache, ${dirname(found)}`)
    return session
  } catch {
    return null
  }
}

/** Made, and kept in the cache where that is possible; null where it cannot be made in this way. */
async function keepSession(cache: GraphCache, path: string, { file, options, onChoice }: Opening) {
  const { made, reason } = await cache.keep(path, (folder) =>
    ort.InferenceSession.create(path, keptIn(folder, options)),
  )
  const outcome = reason === null ? "and is kept in the cache" : `and is not kept: ${reason}`
  onChoice?.(`${file}: the graph was optimised, ${outcome}`)
  return made?.value ?? null
}

/** The graph in one file and its weights in another one, which can be mapped into memory. */
function keptIn(folder: string, options: SessionOptions): SessionOptions {
  const { session, ...extra } = { session: {}, ...options.extra }
  const weights = {
    optimized_model_external_initializers_file_name: weightsFile,
    optimized_model_external_initializers_min_size_in_bytes: "1024",
  }
  return {
    ...options,
    optimizedModelFilePath: join(folder, graphFile),
    // Its warning that the graph is for this processor alone would go to the error stream.
    logSeverityLevel: 3,
    extra: { ...extra, session: { ...session, ...weights } },
  }
}

/** The optimised graphs of ONNX Runtime's processor kernels; null on other devices, and where nothing says where they would be. */
function cacheFor({ provider = "cpu", onChoice }: LoadOptions): GraphCache | null {
  if (provider !== "cpu") return null
  try {
    return new GraphCache(runtimeName())
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error
    if (onChoice) onChoice(`optimised graphs are not kept: ${error.message}`)
    return null
  }
}

function damaged(path: string, cause: unknown): UserError {
  return new UserError(`${path} is damaged: it is not an ONNX model`, "copy or export the model again", { cause })
}
