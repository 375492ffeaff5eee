/**
 * The matrix product that a processor's or a GPU's speed is judged by: as large as it must be to run at full rate, in the
 * runtime, the type and the threads of the towers. It is repeated in the graph where copies to a device would count.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type OnnxDtype, precisionOf } from "../../core/precision.ts"
import { fileError } from "../../host/files/file-error.ts"
import { Module } from "../../model/module.ts"
import { OnnxGraph, sessionOptions } from "../../run/session.ts"
import { traceOnnx } from "../../tensor/onnx.ts"
import { Parameter } from "../../tensor/parameter.ts"
import type { Tensor } from "../../tensor/tensor.ts"
import { generateValues } from "./generated.ts"
import type { Runner, RunOptions } from "./runner.ts"

/** [size, size] times a matrix of the same size, again and again -> [size]. */
export class Products extends Module {
  readonly weight: Parameter

  constructor(
    readonly size: number,
    private readonly times: number,
  ) {
    super()
    this.weight = new Parameter([size, size], { kind: "normal", std: 1 / Math.sqrt(size) })
    generateValues(this)
  }

  forward(x: Tensor): Tensor {
    const { weight, times } = this
    return Array.from({ length: times })
      .reduce<Tensor>((product) => product.matmul(weight), x)
      .mean([1])
  }

  get macs(): number {
    return this.times * this.size ** 3
  }

  input(): Float32Array {
    return new Float32Array(this.size ** 2).fill(0.5)
  }
}

export function productsFor(device: RunOptions["device"]): Products {
  return device === "cpu" ? new Products(1024, 1) : new Products(4096, 32)
}

/** On ONNX Runtime. Throws UserError where the device or the type does not run here. */
export async function openProducts(
  products: Products,
  folder: string,
  dtype: OnnxDtype,
  { threads, device }: Omit<RunOptions, "batch">,
): Promise<Runner> {
  const { size } = products
  const file = `products-${device}-${dtype}.onnx`
  const spec = {
    name: "products",
    parameters: products.namedParameters(),
    inputs: { x: { dtype: "float32", shape: [-1, size] } },
    dtype: precisionOf(dtype),
  } as const
  const path = join(folder, file)
  await writeFile(path, traceOnnx(spec, (x) => ({ y: products.forward(x!) })).chunks()).catch((error: unknown) => {
    throw fileError(error, "writing", path)
  })
  const graph = new OnnxGraph(folder, file, sessionOptions({ threads, provider: device }))
  const feeds = { x: { data: products.input(), shape: [size, size] } }
  await graph.ports()
  return { run: () => graph.run(feeds, ["y"]), close: () => graph.release() }
}

/** For the length of one probe, in milliseconds. */
const probeMilliseconds = 60
const leastRuns = 3

/** The matrix product, kept open to be measured again and again. */
export class PeakProbe {
  /** The highest rate so far. */
  best = 0

  private constructor(
    private readonly macs: number,
    private readonly runner: Runner,
  ) {}

  /** Warmed up. */
  static async of({ macs }: Products, runner: Runner): Promise<PeakProbe> {
    const probe = new PeakProbe(macs, runner)
    await probe.measure()
    return probe
  }

  /** Billions of operations a second now, two for a multiply-add: the fastest of a few runs. */
  async measure(): Promise<number> {
    const started = performance.now()
    let fastest = Number.POSITIVE_INFINITY
    for (let runs = 0; runs < leastRuns || performance.now() - started < probeMilliseconds; runs++) {
      const from = performance.now()
      await this.runner.run()
      fastest = Math.min(fastest, performance.now() - from)
    }
    const rate = gflops(this.macs, fastest)
    this.best = Math.max(this.best, rate)
    return rate
  }

  close(): Promise<void> {
    return this.runner.close()
  }
}

export function gflops(macs: number, milliseconds: number): number {
  return (2 * macs) / 1e6 / milliseconds
}
