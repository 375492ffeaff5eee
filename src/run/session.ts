/** ONNX graphs in Node, on onnxruntime-node. */
import "../host/no-telemetry.ts"

import { dirname, join } from "node:path"
import * as ort from "onnxruntime-node"
import { float16ToFloat32, float32ToFloat16 } from "../core/arrays/half.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { Values } from "../core/inference/caption-decoder.ts"
import { usableProcessors } from "../host/processors.ts"
import { type Feed, type Graph, type Port, type Ports, portNamed } from "./graph.ts"
import { GraphCache, graphFile, weightsFile } from "./graph-cache.ts"
import type { LoadOptions } from "./load-options.ts"

export type SessionOptions = ort.InferenceSession.SessionOptions

type Session = ort.InferenceSession

export function sessionOptions({
  threads = usableProcessors().count,
  provider = "cpu",
  spinning = true,
}: LoadOptions): SessionOptions {
  const waiting = spinning ? {} : { extra: { session: { intra_op: { allow_spinning: "0" } } } }
  return { intraOpNumThreads: threads, executionProviders: [provider], ...waiting }
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
  return new OnnxGraph(directory, file, sessionOptions(options), {
    cache: cacheFor(options),
    ...(onChoice && { onChoice }),
  })
}

/** A file of `directory`. */
export class OnnxGraph implements Graph {
  private opened: Promise<Ports & { readonly session: Session }> | null = null

  constructor(
    private readonly directory: string,
    readonly file: string,
    private readonly options: SessionOptions,
    private readonly keeping: Keeping = {},
  ) {}

  ports(): Promise<Ports> {
    return this.open()
  }

  async run<Output extends string>(
    feeds: Readonly<Record<string, Feed>>,
    outputs: readonly Output[],
  ): Promise<Record<Output, Values>> {
    const { session, ...ports } = await this.open()
    const tensors = Object.entries(feeds).map(
      ([name, feed]) => [name, tensorOf(feed, portNamed(ports.inputs, name, "input", this.file).type)] as const,
    )
    for (const name of outputs) portNamed(ports.outputs, name, "output", this.file)
    const results = await session.run(Object.fromEntries(tensors), outputs).catch((error: unknown) => {
      const shapes = Object.entries(feeds).map(([name, { shape }]) => `${name} [${shape}]`)
      const message = `${this.file} fails on ${shapes.join(", ")}: ${messageOf(error)}`
      throw new UserError(message, undefined, { cause: error })
    })
    return Object.fromEntries(outputs.map((name) => [name, valuesOf(results[name]!)])) as Record<Output, Values>
  }

  async release(): Promise<void> {
    const { opened } = this
    this.opened = null
    await (await opened?.catch(() => null))?.session.release()
  }

  private open() {
    this.opened ??= this.create().then((session) => {
      const { inputMetadata, outputMetadata } = session
      return { session, inputs: inputMetadata.map(portOf), outputs: outputMetadata.map(portOf) }
    })
    return this.opened
  }

  private async create(): Promise<Session> {
    const path = join(this.directory, ...this.file.split("/"))
    try {
      const { cache } = this.keeping
      if (cache) return (await this.kept(cache, path)) ?? (await this.keep(cache, path)) ?? (await this.plain(path))
      return await this.plain(path)
    } catch (error) {
      if (/protobuf parsing failed/i.test(messageOf(error))) throw damaged(path, error)
      const provider = this.options.executionProviders?.[0] ?? "cpu"
      throw new UserError(`${path} cannot be loaded on "${provider}": ${messageOf(error)}`, undefined, { cause: error })
    }
  }

  private plain(path: string): Promise<Session> {
    return ort.InferenceSession.create(path, this.options)
  }

  /** From the cache; null where it is not there, or the runtime refuses it. */
  private async kept(cache: GraphCache, path: string): Promise<Session | null> {
    const found = await cache.find(path).catch(() => null)
    if (found === null) return null
    try {
      const session = await ort.InferenceSession.create(found, { ...this.options, graphOptimizationLevel: "disabled" })
      this.keeping.onChoice?.(`${this.file}: the optimised graph is from the cache, ${dirname(found)}`)
      return session
    } catch {
      return null
    }
  }

  /** Made, and kept in the cache where that is possible; null where it cannot be made in this way. */
  private async keep(cache: GraphCache, path: string): Promise<Session | null> {
    const { made, reason } = await cache.keep(path, (folder) =>
      ort.InferenceSession.create(path, keptIn(folder, this.options)),
    )
    const outcome = reason === null ? "and is kept in the cache" : `and is not kept: ${reason}`
    this.keeping.onChoice?.(`${this.file}: the graph was optimised, ${outcome}`)
    return made?.value ?? null
  }
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

/** The optimised graphs of ONNX Runtime's processor kernels; null on other devices, and where it is not wanted. */
function cacheFor({ provider = "cpu", graphCache = true }: LoadOptions): GraphCache | null {
  return graphCache && provider === "cpu" ? new GraphCache(runtimeName()) : null
}

function damaged(path: string, cause: unknown): UserError {
  return new UserError(`${path} is damaged: it is not an ONNX model`, "copy or export the model again", { cause })
}

function portOf(port: ort.InferenceSession.ValueMetadata): Port {
  return port.isTensor
    ? { name: port.name, type: port.type, shape: port.shape }
    : { name: port.name, type: "?", shape: [] }
}

function tensorOf({ data, shape }: Feed, type: string): ort.Tensor {
  if (data instanceof Float32Array) {
    if (type === "float16") return new ort.Tensor("float16", float32ToFloat16(data), shape)
    return new ort.Tensor("float32", data, shape)
  }
  if (type === "int32") return new ort.Tensor("int32", Int32Array.from(data, Number), shape)
  return new ort.Tensor("int64", data, shape)
}

/** float16 comes as its bits, or as the array type that newer runtimes have for it. */
function valuesOf({ type, data, dims }: ort.Tensor): Values {
  if (type === "float32") return { data: data as Float32Array, shape: dims }
  const { buffer, byteOffset, length } = data as Uint16Array
  return { data: float16ToFloat32(new Uint16Array(buffer, byteOffset, length)), shape: dims }
}
