import { describe, expect, test } from "vitest"
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
