/** A session of ONNX Runtime in Node. */
import "../host/no-telemetry.ts"

import { availableParallelism } from "node:os"
import * as ort from "onnxruntime-node"
import { messageOf, UserError } from "../core/errors.ts"
import type { LoadOptions } from "./load-options.ts"

/** @throws UserError where the file cannot be loaded, or not on this provider */
export async function openSession(path: string, options: LoadOptions): Promise<ort.InferenceSession> {
  const { threads = availableParallelism(), provider = "cpu" } = options
  try {
    return await ort.InferenceSession.create(path, { intraOpNumThreads: threads, executionProviders: [provider] })
  } catch (error) {
    throw new UserError(`${path} cannot be loaded on "${provider}": ${messageOf(error)}`, undefined, { cause: error })
  }
}
