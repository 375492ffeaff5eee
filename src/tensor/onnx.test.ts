import * as ort from "onnxruntime-node"
import { describe, expect, test } from "vitest"
import { type OperationCase, operationCases } from "../../test/conformance/operations.ts"
import { noise, parameter } from "../../test/conformance/reference.ts"
import { traceOnnx } from "./onnx.ts"
import type { EncodedModel } from "./onnx-proto.ts"

function bytesOf(model: EncodedModel): Uint8Array {
  const bytes = new Uint8Array(model.byteLength)
  let offset = 0
  for (const chunk of model.chunks()) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  expect(offset).toBe(model.byteLength)
  return bytes
}

async function evaluate({ inputs, parameters, run }: OperationCase): Promise<ort.Tensor> {
  const specs = inputs.map(({ dtype, array }, i) => [`input${i}`, { dtype, shape: [-1, ...array.shape.slice(1)] }])
  const model = traceOnnx({ name: "case", parameters, inputs: Object.fromEntries(specs) }, (...tensors) => ({
    output: run(...tensors),
  }))
  const session = await ort.InferenceSession.create(bytesOf(model))
  const feeds = inputs.map(({ dtype, array }, i) => {
    const data = dtype === "int64" ? BigInt64Array.from(array.values, BigInt) : Float32Array.from(array.values)
    return [`input${i}`, new ort.Tensor(dtype, data, array.shape)]
  })
  return (await session.run(Object.fromEntries(feeds))).output!
}

describe.each([1, 3])("operations in ONNX Runtime, batch %i", (batch) => {
  test.each(operationCases(batch))("$name", async (operation) => {
    const { dims, data } = await evaluate(operation)
    const { shape, values } = operation.expected
    expect(dims).toEqual(shape)
    // float32 against float64, values of about 1.
    values.forEach((value, i) => {
      expect(Math.abs((data[i] as number) - value)).toBeLessThan(2e-5)
    })
  })
})

describe("traceOnnx", () => {
  const weight = parameter(noise("weight", 3, 4))
  const spec = {
    name: "tiny",
    parameters: new Map([["head.weight", weight]]),
    inputs: { x: { dtype: "float32" as const, shape: [-1, 4] } },
  }

  test("a weight used twice is stored once", () => {
    const once = traceOnnx(spec, (x) => ({ y: x!.linear(weight, null) }))
    const twice = traceOnnx(spec, (x) => ({ y: x!.linear(weight, null).add(x!.linear(weight, null)) }))
    expect([...twice.chunks()].length).toBe([...once.chunks()].length)
  })

  test("weights are read when they are written, not before", () => {
    const lazy = parameter(noise("weight", 3, 4))
    const values = lazy.source!
    lazy.source = null
    const model = traceOnnx({ ...spec, parameters: new Map([["head.weight", lazy]]) }, (x) => ({
      y: x!.linear(lazy, null),
    }))
    lazy.source = values
    expect(bytesOf(model).length).toBe(model.byteLength)
  })

  test("a shape that does not fit names the layer, what was expected and what was found", () => {
    const wrong = { ...spec, inputs: { x: { dtype: "float32" as const, shape: [-1, 5] } } }
    expect(() => traceOnnx(wrong, (x) => ({ y: x!.linear(weight, null) }))).toThrow(
      "linear at head: expected [..., 4], found [-1, 5]",
    )
  })
})
