import { describe, expect, test } from "vitest"
import { arange, cat, devices, full, memory, ones, type Tensor, type TensorData, tensor, zeros } from "./index.ts"

const values = (x: Tensor) => Array.from(x.data(), Number)

describe("round trips", () => {
  const cases: readonly [string, TensorData][] = [
    ["float32", new Float32Array([0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e-40])],
    ["float64", new Float64Array([0, Math.PI, -1e300, Number.MIN_VALUE, Number.NaN, 2])],
    ["int64", new BigInt64Array([0n, -1n, 2n ** 62n, -(2n ** 63n), 2n ** 63n - 1n, 7n])],
    ["int32", new Int32Array([0, -1, 2 ** 31 - 1, -(2 ** 31), 5, 6])],
    ["uint8", new Uint8Array([0, 1, 2, 127, 128, 255])],
    ["float16", new Uint16Array([0, 0x3c00, 0x7bff, 0x7c00, 0xfe00, 1])],
    ["bfloat16", new Uint16Array([0, 0x3f80, 0x7f7f, 0x7f80, 0xffc0, 1])],
  ]

  test.each(cases)("%s keeps every bit", (dtype, data) => {
    const options = dtype.endsWith("float16") ? { dtype: dtype as "float16" | "bfloat16" } : {}
    const x = tensor(data, [2, 3], options)
    expect([x.dtype, x.shape, x.numel, x.device]).toEqual([dtype, [2, 3], 6, "cpu"])
    expect(x.data()).toEqual(data)
  })

  test("bool reads any nonzero byte as true", () => {
    const x = tensor(new Uint8Array([0, 1, 200]), [3], { dtype: "bool" })
    expect(x.dtype).toBe("bool")
    expect(x.data()).toEqual(new Uint8Array([0, 1, 1]))
  })

  test("the data is copied, in and out", () => {
    const data = new Float32Array([1, 2])
    const x = tensor(data, [2])
    data[0] = 9
    x.data()[1] = 9
    expect(values(x)).toEqual([1, 2])
  })

  test("memory that threads share is read like any other", () => {
    const shared = new Float32Array(new SharedArrayBuffer(24), 4, 4)
    shared.set([1, 2, 3, 4])
    expect(values(tensor(shared, [2, 2]))).toEqual([1, 2, 3, 4])
    expect(values(tensor(new BigInt64Array(new SharedArrayBuffer(16)).fill(7n), [2]))).toEqual([7, 7])
  })

  test("values are copied into memory that is there, shared or not, as its type", () => {
    const shared = new Float32Array(new SharedArrayBuffer(24), 4, 4)
    tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true }).transpose(0, 1).copyTo(shared)
    expect([...shared]).toEqual([1, 3, 2, 4])
    expect([...new Float32Array(shared.buffer)]).toEqual([0, 1, 3, 2, 4, 0])
    const ints = new BigInt64Array(2)
    tensor([1.5, -2], [2]).copyTo(ints)
    expect(ints).toEqual(new BigInt64Array([1n, -2n]))
    tensor([], [0]).copyTo(new Float32Array(0))
  })

  test("memory of another size or type is refused, and nothing is written", () => {
    const x = tensor([1, 2], [2])
    const three = new Float32Array(3)
    expect(() => x.copyTo(three)).toThrow("a tensor of 2 elements does not fill 3")
    expect([...three]).toEqual([0, 0, 0])
    expect(() => x.copyTo(new Uint16Array(2) as unknown as Float32Array)).toThrow("expected a Float32Array")
    expect(() => x.copyTo("no" as unknown as Float32Array)).toThrow("expected a typed array")
    x.free()
    expect(() => x.copyTo(new Float32Array(2))).toThrow("freed")
  })

  test("a view of a buffer, a transposed and an expanded tensor come out row-major", () => {
    const x = tensor(new Float32Array([9, 1, 2, 3, 4, 5, 6, 9]).subarray(1, 7), [2, 3])
    expect(values(x.transpose(0, 1))).toEqual([1, 4, 2, 5, 3, 6])
    expect(values(x.narrow(1, 1, 1).expand([2, 2]))).toEqual([2, 2, 5, 5])
  })

  test("no elements and no dimensions", () => {
    expect(tensor([], [0, 3]).data()).toEqual(new Float32Array(0))
    expect(tensor([7], []).item()).toBe(7)
  })

  test("numbers become the dtype asked for", () => {
    expect(tensor([1, 2], [2], { dtype: "int64" }).data()).toEqual(new BigInt64Array([1n, 2n]))
    expect(values(tensor([1.5, 2], [2], { dtype: "float16" }).to({ dtype: "float32" }))).toEqual([1.5, 2])
    expect(tensor(new Float32Array([1.7]), [1], { dtype: "int32" }).data()).toEqual(new Int32Array([1]))
  })
})

describe("creation", () => {
  test("filled and counted", () => {
    expect(values(zeros([2]))).toEqual([0, 0])
    expect(values(ones([2], { dtype: "int32" }))).toEqual([1, 1])
    expect(values(full([2], 2.5))).toEqual([2.5, 2.5])
    expect(arange(2, 8, 3).data()).toEqual(new BigInt64Array([2n, 5n]))
  })

  test.each<[string, () => unknown, string]>([
    ["too little data", () => tensor([1, 2], [3]), "shape [3] needs 3 values, the data has 2"],
    ["a negative size", () => tensor([1, 2], [-1, -2]), "shape [-1, -2] has a negative size"],
    ["a size beyond memory", () => tensor([], [2 ** 40, 2 ** 40]), "values, the data has 0"],
    ["a shape that is none", () => tensor([1], 1 as never), "expected a shape, an array of up to 64 sizes"],
    ["a huge shape", () => tensor([1], new Array(2 ** 31)), "expected a shape, an array of up to 64 sizes"],
    ["a fraction as size", () => tensor([1, 2, 3], [1.5, 2]), "expected an integer, got 1.5"],
    ["half bits without dtype", () => tensor(new Uint16Array(1), [1]), "a Uint16Array with dtype left out"],
    ["an unknown array", () => tensor(new Int8Array(1) as never, [1]), "a Int8Array"],
    ["an unknown dtype", () => zeros([1], { dtype: "f32" as never }), 'unknown dtype "f32"; there are: float32'],
    [
      "an unknown device",
      () => zeros([1], { device: "tpu" as never }),
      'device "tpu" is not available; there are: cpu',
    ],
    ["a fraction as int32", () => tensor([0, 1.5], [2], { dtype: "int32" }), "1.5 (element 1) does not fit Int32Array"],
    ["a number beyond uint8", () => tensor([256], [1], { dtype: "uint8" }), "256 (element 0) does not fit Uint8Array"],
    ["NaN as bool", () => tensor([Number.NaN], [1], { dtype: "bool" }), "NaN (element 0)"],
    ["a fraction as int64", () => tensor([1.5], [1], { dtype: "int64" }), "1.5"],
  ])("%s is an error", (_, make, message) => {
    const before = memory().liveTensors
    expect(make).toThrow(message)
    expect(memory().liveTensors).toBe(before)
  })

  test.skipIf(devices().includes("cuda"))("a device that is not there is an error", () => {
    expect(() => zeros([1], { device: "cuda" })).toThrow(
      'aten::zeros: argument "device": device "cuda" is not available',
    )
  })
})

describe("operators give the numbers of pencil and paper", () => {
  const x = tensor([1, 2, 3, 4], [2, 2])
  const y = tensor([4, 3, 2, 1], [2, 2])
  const signed = tensor([-2, -0.5, 0, 3], [4])

  test.each<[string, () => Tensor, readonly number[]]>([
    ["add", () => x.add(y), [5, 5, 5, 5]],
    ["add number", () => x.add(1.5), [2.5, 3.5, 4.5, 5.5]],
    ["sub", () => x.sub(y), [-3, -1, 1, 3]],
    ["mul", () => x.mul(y), [4, 6, 6, 4]],
    ["div", () => x.div(2), [0.5, 1, 1.5, 2]],
    ["broadcasting", () => x.mul(tensor([10, 100], [2])), [10, 200, 30, 400]],
    ["neg", () => x.neg(), [-1, -2, -3, -4]],
    ["abs", () => signed.abs(), [2, 0.5, 0, 3]],
    ["pow", () => x.pow(2), [1, 4, 9, 16]],
    ["sqrt", () => tensor([4, 9], [2]).sqrt(), [2, 3]],
    ["exp and log", () => x.exp().log(), [1, 2, 3, 4]],
    ["relu", () => signed.relu(), [0, 0, 0, 3]],
    ["sigmoid", () => tensor([0, Math.log(3)], [2]).sigmoid(), [0.5, 0.75]],
    ["gelu", () => tensor([0, 1, -1], [3]).gelu(), [0, 0.841345, -0.158655]],
    ["clamp", () => signed.clamp(-1, 1), [-1, -0.5, 0, 1]],
    ["clamp one side", () => signed.clamp(null, 1), [-2, -0.5, 0, 1]],
    ["eq", () => x.eq(3), [0, 0, 1, 0]],
    ["matmul", () => x.matmul(y), [8, 5, 20, 13]],
    ["sum", () => x.sum(), [10]],
    ["sum of rows", () => x.sum([1]), [3, 7]],
    ["mean", () => x.mean([0], true), [2, 3]],
    ["max", () => x.max([1]), [2, 4]],
    ["argmax", () => y.argmax(0), [0, 0]],
    ["norm", () => tensor([3, 4], [2]).norm(), [5]],
    ["norm of rows", () => tensor([3, 4, 6, 8], [2, 2]).norm([1]), [5, 10]],
    ["softmax", () => tensor([0, Math.log(3)], [2]).softmax(0), [0.25, 0.75]],
    ["logSoftmax", () => tensor([0, 0], [2]).logSoftmax(0), [-Math.LN2, -Math.LN2]],
    ["reshape", () => x.reshape([-1]), [1, 2, 3, 4]],
    ["permute", () => x.permute([1, 0]), [1, 3, 2, 4]],
    ["narrow", () => x.narrow(0, 1, 1), [3, 4]],
    ["select", () => x.select(1, -1), [2, 4]],
    ["unsqueeze and squeeze", () => x.unsqueeze(0).squeeze(0), [1, 2, 3, 4]],
    ["indexSelect", () => x.indexSelect(0, tensor([1, 0, 1], [3], { dtype: "int64" })), [3, 4, 1, 2, 3, 4]],
    ["gather", () => x.gather(1, tensor([1, 0], [2, 1], { dtype: "int64" })), [2, 3]],
    ["triu", () => x.triu(), [1, 2, 0, 4]],
    ["cat", () => cat([x, y], 1), [1, 2, 4, 3, 3, 4, 2, 1]],
  ])("%s", (_, compute, expected) => {
    const result = values(compute())
    expect(result).toHaveLength(expected.length)
    for (const [i, value] of result.entries()) expect(value).toBeCloseTo(expected[i]!, 5)
  })

  test("in place operators change and return their tensor", () => {
    const z = tensor([1, 2], [2])
    expect(
      z
        .add_(1)
        .mul_(tensor([2, 3], [2]))
        .sub_(1)
        .div_(2),
    ).toBe(z)
    expect(values(z)).toEqual([1.5, 4])
    expect(values(z.clamp_(2, 3))).toEqual([2, 3])
    expect(values(z.copy_(tensor([5, 6], [2], { dtype: "int64" })))).toEqual([5, 6])
    expect(values(z.fill_(1.5))).toEqual([1.5, 1.5])
    expect(values(z.zero_())).toEqual([0, 0])
  })

  test("whole numbers keep integer tensors integer, as in PyTorch", () => {
    expect(arange(0, 3).mul(2).dtype).toBe("int64")
    expect(arange(0, 3).mul(0.5).dtype).toBe("float32")
  })

  test("item needs one element", () => {
    expect(tensor([1], [1]).eq(1).item()).toBe(1)
    expect(() => x.item()).toThrow("aten::item")
  })

  test("to copies only when something changes", () => {
    const same = x.to({ dtype: "float32" })
    same.add_(0)
    expect(values(x.to({ dtype: "int64" }))).toEqual([1, 2, 3, 4])
  })
})
