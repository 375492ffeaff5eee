import { expect, test } from "vitest"
import { curvesChart } from "./chart.ts"

const look = { width: 300, height: 100, xTitle: "step" } as const
const line = (slope: number) => Array.from({ length: 5 }, (_, x) => ({ x, y: slope * x }))

test("several curves are told apart by colour and named; one has no legend", async () => {
  const two = await curvesChart(
    [
      { name: "real", points: line(1) },
      { name: "synthetic", points: line(2) },
    ],
    look,
  )
  for (const text of [">real<", ">synthetic<", "var(--accent)", "var(--wrong)"]) expect(two).toContain(text)
  const one = await curvesChart([{ name: "real", points: line(1) }], look)
  expect(one).not.toContain(">real<")
  expect(one.match(/^<svg[^>]* width="300"/)).not.toBeNull()
})

test("what is not finite is left out, and the rest is drawn", async () => {
  const broken = [...line(1), { x: 5, y: Number.NaN }, { x: 6, y: Number.POSITIVE_INFINITY }]
  expect(await curvesChart([{ points: broken }], look)).toBe(await curvesChart([{ points: line(1) }], look))
  expect(await curvesChart([{ points: [] }], look)).not.toMatch(/NaN|undefined/)
})
