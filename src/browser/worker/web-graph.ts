/** ONNX graphs on ONNX Runtime Web. */
import type { Env, InferenceSession, InferenceSessionFactory, TensorConstructor } from "onnxruntime-web"
import { messageOf, UserError } from "../../core/errors.ts"
import type { Values } from "../../core/inference/caption-decoder.ts"
import type { Feed, Ports } from "../../run/graph.ts"
import { OrtGraph } from "../../run/ort-graph.ts"
import type { Device } from "../protocol.ts"

/** A build of ONNX Runtime Web, and what it computes on. */
export interface Runtime {
  readonly device: Device
  readonly ort: {
    readonly env: Env
    readonly InferenceSession: InferenceSessionFactory
    readonly Tensor: TensorConstructor
  }
}

/** A graph and the weights beside it, under the names by which the graph refers to them. */
export interface GraphFiles {
  readonly graph: Uint8Array
  readonly beside: readonly { readonly path: string; readonly data: Uint8Array }[]
}

/** One thing after the other: sessions of one runtime share its memory, and WebGPU's answer in the middle of a run. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(nextTask).then(work)
    this.last = result.catch(() => null)
    return result
  }
}

const channel = new MessageChannel()

/** WebAssembly computes without a pause, in which a message, such as an abort, could come. A timer would wait for 4 ms. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    channel.port1.onmessage = () => resolve()
    channel.port2.postMessage(null)
  })
}

export class WebGraph extends OrtGraph {
  constructor(
    file: string,
    runtime: Runtime,
    private readonly turns: Turns,
    read: () => Promise<GraphFiles>,
  ) {
    super(file, runtime.ort.Tensor, async () => createSession(file, runtime, await read()))
  }

  override ports(): Promise<Ports> {
    return this.turns.take(() => super.ports())
  }

  override run<Output extends string>(
    feeds: Readonly<Record<string, Feed>>,
    outputs: readonly Output[],
  ): Promise<Record<Output, Values>> {
    return this.turns.take(() => super.run(feeds, outputs))
  }
}

async function createSession(
  file: string,
  { device, ort }: Runtime,
  { graph, beside }: GraphFiles,
): Promise<InferenceSession> {
  try {
    return await ort.InferenceSession.create(graph, {
      executionProviders: [device],
      // Errors: it warns of each node that is placed on the processor.
      logSeverityLevel: 3,
      ...(beside.length > 0 && { externalData: [...beside] }),
    })
  } catch (error) {
    throw new UserError(`${file} cannot be loaded on ${device}: ${messageOf(error)}`, undefined, { cause: error })
  }
}
