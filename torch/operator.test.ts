import { describe, expect, test } from "vitest"
import { functions, fuzz, properties } from "../bench/torch-fuzz.ts"
import { call, hasOperator, ones, operatorNames, schemaOf, scope, type Tensor, tensor } from "./index.ts"

const values = (x: unknown) => Array.from((x as Tensor).data(), Number)
const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])

describe("call", () => {
  test("takes a name with or without namespace and overload", () => {
    expect(values(call("aten::relu", x))).toEqual(values(x))
    expect(values(call("add.Tensor", x, x))).toEqual([2, 4, 6, 8, 10, 12])
  })

  test("defaults, undefined, and named arguments", () => {
    expect(values(call("add.Tensor", x, x, undefined))).toEqual([2, 4, 6, 8, 10, 12])
    expect(values(call("add.Tensor", x, x, { alpha: 10 }))).toEqual([11, 22, 33, 44, 55, 66])
    expect((call("sum.dim_IntList", x, [0], { keepdim: true }) as Tensor).shape).toEqual([1, 3])
    expect((call("sum.dim_IntList", x, { dim: [1], dtype: "float64" }) as Tensor).dtype).toBe("float64")
  })

  test("one number for int[2], a list of tensors, optional tensors, numbers, text", () => {
    expect((call("conv2d", ones([1, 1, 5, 5]), ones([1, 1, 3, 3]), null, 2) as Tensor).shape).toEqual([1, 1, 2, 2])
    expect(values(call("index.Tensor", x, [null, tensor([2, 0], [2], { dtype: "int64" })]))).toEqual([3, 1, 6, 4])
    expect(values(call("einsum", "ij->j", [x]))).toEqual([5, 7, 9])
    expect(call("size.int", x, 1)).toBe(3)
    expect(call("is_nonzero", ones([1]))).toBe(true)
    expect(call("full", [1], 2n ** 60n, "int64")).toMatchObject({ dtype: "int64" })
  })

  test("several results come as an array, a result that is an argument as that object", () => {
    const [max, indices] = call("max.dim", x, 1) as [Tensor, Tensor]
    expect([values(max), values(indices)]).toEqual([
      [3, 6],
      [2, 2],
    ])
    const out = ones([2, 3])
    expect(call("mul.out", x, x, out)).toBe(out)
    expect(values(out)).toEqual([1, 4, 9, 16, 25, 36])
    expect((call("split.Tensor", x, 1) as Tensor[]).map(values)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
  })

  test("the operators of AdamW and gradient clipping", () => {
    const [weights, gradients] = [[ones([2])], [tensor([3, 4], [2])]]
    expect(call("_foreach_add_.List", weights, gradients)).toBeUndefined()
    call("_foreach_mul_.Scalar", weights, 0.5)
    call("_foreach_addcmul_.Scalar", weights, gradients, gradients, 2)
    call("_foreach_addcdiv_.ScalarList", weights, gradients, gradients, [1])
    call(
      "_foreach_div_.List",
      weights,
      call(
        "_foreach_sqrt",
        gradients.map((g) => g.mul(g)),
      ),
    )
    expect(values(weights[0])).toEqual([(2 + 18 + 1) / 3, (2.5 + 32 + 1) / 4].map(Math.fround))
    expect(values((call("_foreach_norm.Scalar", gradients) as Tensor[])[0])).toEqual([5])
  })

  test("operators can be listed, tested for and read", () => {
    expect(operatorNames().length).toBeGreaterThan(1000)
    expect([hasOperator("relu"), hasOperator("add"), hasOperator("nonsense")]).toEqual([true, false, false])
    expect(schemaOf("relu")).toBe("aten::relu(Tensor self) -> Tensor")
  })
})

describe("misuse is an error that names the operator, its schema and what was given", () => {
  const freed = ones([1])
  freed.free()
  const cyclic: unknown[] = []
  cyclic.push(cyclic)

  test.each<[string, unknown[], string]>([
    ["wrong shape", [x, ones([2])], "The size of tensor a (3) must match the size of tensor b (2)"],
    ["missing argument", [x], 'argument "other" is missing'],
    ["too many arguments", [x, x, 1, 2], "takes at most 3 arguments, got 4"],
    ["a number for a tensor", [x, 3], 'argument "other": expected a Tensor, got 3'],
    ["a freed tensor", [x, freed], 'argument "other": expected a Tensor, got a freed Tensor'],
    ["null for a tensor", [null, x], 'argument "self": expected a Tensor, got null'],
    ["text for a number", [x, x, "2"], 'argument "alpha": expected a number, got "2"'],
    ["an array for a tensor", [x, [x]], "expected a Tensor, got an array of 1"],
    ["an unknown named argument", [x, x, { beta: 1 }], 'has no argument "beta"'],
    ["an argument given twice", [x, x, { self: x }], 'was given twice the argument "self"'],
  ])("%s", (_, args, message) => {
    const error = errorOf(() => call("add.Tensor", ...args))
    expect(error.message).toContain(message)
    expect(error.message).toMatch(/^aten::add.Tensor: /)
    expect(error.message).toContain("schema: aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor")
  })

  test.each<[string, string, unknown[], string]>([
    ["NaN for an integer", "sum.dim_IntList", [x, [Number.NaN]], 'argument "dim": expected an integer, got NaN'],
    ["a huge integer", "narrow", [x, 0, 1e30, 1], "expected an integer, got 1e+30"],
    ["a bigint of 65 bits", "narrow", [x, 0, 2n ** 64n, 1], "expected an integer of 64 bits"],
    ["a fraction", "select.int", [x, 0, 0.5], "expected an integer, got 0.5"],
    ["a number for true or false", "sum.dim_IntList", [x, [0], 1], "expected true or false, got 1"],
    ["a cyclic array", "sum.dim_IntList", [x, cyclic], "expected an integer, got an array of 1"],
    ["a huge array", "sum.dim_IntList", [x, new Array(2 ** 31)], "a list of 2147483648 values is too long"],
    ["a wrong number of integers", "reflection_pad2d", [ones([1, 4, 4]), [1, 1, 1]], "expected 1 or 4 integers, got 3"],
    [
      "lists of two lengths",
      "_foreach_add_.List",
      [[x, x], [x]],
      'argument "other": expected 2 values as in "self", got 1',
    ],
    ["one number for a list", "reshape", [x, 6], "expected an array, got 6"],
    ["an unknown dtype", "sum", [x, "float31"], 'unknown dtype "float31"'],
    ["a dimension out of range", "softmax.int", [x, 2], "Dimension out of range"],
    ["different dtypes", "matmul", [x, ones([3, 2], { dtype: "float64" })], "aten::matmul: expected"],
    ["out of bounds", "as_strided", [x, [9], [1], 0], "aten::as_strided"],
    ["a generator", "randn.generator", [[1], 7], "expected null (the device's own generator is used), got 7"],
  ])("%s", (_, name, args, message) => {
    const error = errorOf(() => call(name, ...args))
    expect(error.message).toContain(message)
    expect(error.message).toMatch(new RegExp(`^aten::${name.replace(".", "\\.")}`))
    expect(error.message).toContain("schema: ")
  })

  test("shapes and dtypes of what was given", () => {
    const error = errorOf(() => call("matmul", x, ones([2, 2], { dtype: "int64" })))
    expect(error.message).toContain("given: float32[2, 3], int64[2, 2]")
  })

  test("unknown operators list overloads or the nearest names", () => {
    expect(errorOf(() => call("add", x, x)).message).toContain("aten::add.Tensor")
    expect(errorOf(() => call("matmull", x, x)).message).toContain("aten::matmul")
    expect(errorOf(() => call("", x)).message).toContain("no such operator")
  })

  test("operators that take what JavaScript does not have are refused before the call", () => {
    expect(errorOf(() => call("set_.source_Storage", x, x)).message).toContain("an argument of type Storage")
    expect(errorOf(() => call("_stack", [], 0)).message).toContain("refused")
  })
})

test("2,000 random calls return or throw an Error", () => {
  const { returned, threw, operators } = fuzz(2000, 1)
  expect(returned + threw).toBe(2000)
  expect(operators).toBeGreaterThan(100)
})

/** It takes no memory until something copies it. */
const holes = new Array(2 ** 31)
const methods = properties.flatMap(([name, { value, set }]) =>
  (value ?? set) ? [[`Tensor.${name}`, value ?? set] as const] : [],
)

test.each([...functions, ...methods])("%s copies no array without end, wherever it is given", (_, run) => {
  for (const other of [x, holes, 1]) {
    for (const args of [[holes], [other, holes], [other, other, holes], [other, other, other, holes]]) {
      try {
        scope(() => Reflect.apply(run, x, args))
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
  }
})

function errorOf(run: () => unknown): Error {
  try {
    run()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error("no error was thrown")
}
