/** A graph on any build of ONNX Runtime for JavaScript, which a host supplies: `session.ts` in Node, a worker in a browser. */
import type { InferenceSession, Tensor, TensorConstructor } from "onnxruntime-web"
import { float16ToFloat32, float32ToFloat16 } from "../core/arrays/half.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { Values } from "../core/inference/caption-decoder.ts"
import { type Feed, type Graph, type Port, type Ports, portNamed } from "./graph.ts"

type Opened = Ports & { readonly session: InferenceSession }

/** Opened when it is first used. */
export class OrtGraph implements Graph {
  private opened: Promise<Opened> | null = null

  /** @param create throws UserError where the file cannot be opened */
  constructor(
    readonly file: string,
    private readonly tensors: TensorConstructor,
    private readonly create: () => Promise<InferenceSession>,
  ) {}

  ports(): Promise<Ports> {
    return this.open()
  }

  async run<Output extends string>(
    feeds: Readonly<Record<string, Feed>>,
    outputs: readonly Output[],
  ): Promise<Record<Output, Values>> {
    const { session, ...ports } = await this.open()
    const tensors = Object.entries(feeds).map(([name, feed]) => {
      const { type } = portNamed(ports.inputs, name, "input", this.file)
      return [name, tensorOf(this.tensors, feed, type)] as const
    })
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

  private open(): Promise<Opened> {
    this.opened ??= this.create().then((session) => {
      const { inputMetadata, outputMetadata } = session
      return { session, inputs: inputMetadata.map(portOf), outputs: outputMetadata.map(portOf) }
    })
    return this.opened
  }
}

function portOf(port: InferenceSession.ValueMetadata): Port {
  return port.isTensor
    ? { name: port.name, type: port.type, shape: port.shape }
    : { name: port.name, type: "?", shape: [] }
}

function tensorOf(tensors: TensorConstructor, { data, shape }: Feed, type: string): Tensor {
  if (data instanceof Float32Array) {
    if (type === "float16") return new tensors("float16", float32ToFloat16(data), shape)
    return new tensors("float32", data, shape)
  }
  if (type === "int32") return new tensors("int32", Int32Array.from(data, Number), shape)
  return new tensors("int64", data, shape)
}

/** float16 comes as its bits, or as the array type that newer runtimes have for it. */
function valuesOf({ type, data, dims }: Tensor): Values {
  if (type === "float32") return { data: data as Float32Array, shape: dims }
  const { buffer, byteOffset, length } = data as Uint16Array
  return { data: float16ToFloat32(new Uint16Array(buffer, byteOffset, length)), shape: dims }
}
