/** The operations by their definitions, on every interpreter that computes. */
import * as ort from "onnxruntime-node"
import { describe, expect, test } from "vitest"
import { traceOnnx } from "../../src/tensor/onnx.ts"
import { hostValues, TorchInterpreter } from "../../src/tensor/torch.ts"
import { noGrad, scope } from "../../torch/index.ts"
import { type OperationCase, operationCases } from "./operations.ts"

interface Computed {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

const engines: Readonly<Record<string, (operation: OperationCase) => Promise<Computed> | Computed>> = {
  async "ONNX Runtime"({ inputs, parameters, run }) {
    const specs = inputs.map(({ dtype, array }, i) => [`input${i}`, { dtype, shape: [-1, ...array.shape.slice(1)] }])
    const model = traceOnnx({ name: "case", parameters, inputs: Object.fromEntries(specs) }, (...tensors) => ({
      output: run(...tensors),
    }))
    const feeds = inputs.map(({ dtype, array: { shape, values } }, i) => [
      `input${i}`,
      dtype === "int64"
        ? new ort.Tensor(dtype, BigInt64Array.from(values, BigInt), shape)
        : new ort.Tensor(dtype, Float32Array.from(values), shape),
    ])
    const session = await ort.InferenceSession.create(Buffer.concat([...model.chunks()]))
    const { output } = await session.run(Object.fromEntries(feeds))
    return { shape: output!.dims, values: output!.data as Float32Array }
  },

  libtorch({ inputs, parameters, run }) {
    const interpreter = new TorchInterpreter({ namedParameters: () => new Map(parameters) })
    return scope(() =>
      noGrad(() => {
        const tensors = inputs.map(({ dtype, array: { shape, values } }) =>
          dtype === "int64"
            ? interpreter.tokens(BigInt64Array.from(values, BigInt), shape)
            : interpreter.images(Float32Array.from(values), shape),
        )
        const output = interpreter.unwrap(run(...tensors))
        return { shape: [...output.shape], values: hostValues(output) }
      }),
    )
  },
}

describe.each(Object.entries(engines))("%s", (_, compute) => {
  describe.each([1, 3])("batch %i", (batch) => {
    test.each(operationCases(batch))("$name", async (operation) => {
      const { shape, values } = await compute(operation)
      expect(shape).toEqual(operation.expected.shape)
      // float32 against float64, of values around 1.
      const errors = operation.expected.values.map((value, i) => Math.abs(value - values[i]!))
      expect(Math.max(...errors)).toBeLessThan(2e-5)
    })
  })
})
