import { expect, test } from "vitest"
import { randn, region, scope, trace } from "./index.ts"

test("a trace counts calls with their arguments, forward and back, and no call twice", () => {
  const rows = trace(() =>
    scope(() => {
      const x = randn([3, 4], { requiresGrad: true })
      const y = randn([4, 5])
      for (let i = 0; i < 2; i++) x.matmul(y).sum().backward()
    }),
  )
  const products = rows.filter(({ path }) => path === "aten::matmul>aten::mm")
  expect(products).toMatchObject([{ calls: 2, arguments: "[3, 4] [4, 5]" }])
  const { bytes } = products[0]!
  expect(bytes).toBe(2 * 4 * (3 * 4 + 4 * 5 + 3 * 5))
  const back = rows.filter(({ path }) => path.includes("backward:MmBackward0") && path.endsWith("aten::mm"))
  expect(back).toMatchObject([{ calls: 2 }])
  expect(rows.every(({ seconds }) => seconds >= 0)).toBe(true)
})

test("a trace that fails ends, and one inside another is refused", () => {
  expect(() => trace(() => trace(() => {}))).toThrow("a trace was started already")
  expect(trace(() => {})).toEqual([])
})

test("a node names the operator that made it, and a region is in the path", () => {
  const rows = trace(() =>
    scope(() => {
      const x = randn([3, 4], { requiresGrad: true })
      region("outer", () =>
        region("inner", () =>
          x
            .gelu()
            .matmul(randn([4, 5]))
            .sum()
            .backward(),
        ),
      )
    }),
  )
  const back = rows.find(({ path }) => path.endsWith("backward:MmBackward0"))!
  expect(back).toMatchObject({ forward: "aten::matmul", forwardArguments: "[3, 4] [4, 5]", arguments: "" })
  expect(back.path).toMatch(/^region:outer>region:inner>backward pass>/)
  const gelu = rows.find(({ path }) => path.endsWith(">aten::gelu_backward"))!
  expect(gelu).toMatchObject({ forward: "aten::gelu" })
  expect(gelu.forwardArguments).toMatch(/^\[3, 4\]/)
  expect(rows.find(({ path }) => path === "region:outer>region:inner>aten::gelu")).toMatchObject({ forward: "" })
})

test("a region that fails ends, and outside a trace it only calls", () => {
  expect(region("name", () => 3)).toBe(3)
  const rows = trace(() =>
    scope(() => {
      expect(() => region("failed", () => randn([-2]))).toThrow()
      randn([2]).neg()
    }),
  )
  expect(rows.map(({ path }) => path)).toContain("aten::neg")
})
