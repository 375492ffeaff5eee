/** ONNX graphs in Node, on onnxruntime-node. */
import "../host/no-telemetry.ts"

import { availableParallelism } from "node:os"
import { join } from "node:path"
import * as ort from "onnxruntime-node"
import { messageOf, UserError } from "../core/errors.ts"
import type { LoadOptions } from "./load-options.ts"
import { OrtGraph } from "./ort-graph.ts"

export type SessionOptions = ort.InferenceSession.SessionOptions

export function sessionOptions({ threads = availableParallelism(), provider = "cpu" }: LoadOptions): SessionOptions {
  return { intraOpNumThreads: threads, executionProviders: [provider] }
}

/** For manifests: what computed a figure. */
export function runtimeName(): string {
  return `onnxruntime-node ${ort.env.versions.node}`
}

/** A file of `directory`. */
export class OnnxGraph extends OrtGraph {
  constructor(directory: string, file: string, options: SessionOptions) {
    super(file, ort.Tensor, () => createSession(join(directory, ...file.split("/")), options))
  }
}

async function createSession(path: string, options: SessionOptions): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(path, options)
  } catch (error) {
    const provider = options.executionProviders?.[0] ?? "cpu"
    throw new UserError(`${path} cannot be loaded on "${provider}": ${messageOf(error)}`, undefined, { cause: error })
  }
}
