import { expect, test } from "vitest"
import { randn, scope, trace } from "./index.ts"

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
