import { expect, test } from "vitest"
import { curvesChart, smooth, thin } from "./chart.ts"

const look = { width: 300, height: 100, xTitle: "step" } as const
const line = (slope: number) => Array.from({ length: 5 }, (_, x) => ({ x, y: slope * x }))

test("several curves have different colours and a legend; a single one has no legend", async () => {
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

test("a name may hold anything", async () => {
  const names = [
    "a\u2028b\u2029c",
    `"'\\<img src=x onerror=alert(1)>`,
    "\x1b[2J\0\u202e",
    "signal('x')",
    "\ud800",
    "][",
  ]
  const svg = await curvesChart(
    names.map((name, i) => ({ name, points: line(i) })),
    { ...look, width: 900 },
  )
  for (const text of ["a\\u2028b\\u2029c", "&lt;img src=x", "\\x1b[2J\\x00\\u202e", "signal('x')", "\\ud800"])
    expect(svg).toContain(text)
  expect(svg).not.toMatch(/<img|[\p{Cc}\u2028\u202e]/u)
})

test("values that are not finite are left out, and the rest is drawn", async () => {
  const broken = [...line(1), { x: 5, y: Number.NaN }, { x: 6, y: Number.POSITIVE_INFINITY }]
  expect(await curvesChart([{ points: broken }], look)).toBe(await curvesChart([{ points: line(1) }], look))
  expect(await curvesChart([{ points: [] }], look)).not.toMatch(/NaN|undefined/)
})

test("on an axis of powers equal ratios are equal distances, and every point has a tick", async () => {
  const points = [313, 1252, 5008].map((x, i) => ({ x, y: i }))
  const svg = await curvesChart([{ points }], { ...look, marked: true, logarithmic: true })
  const [, path] = svg.match(/aria-roledescription="line mark"[^>]* d="([^"]+)"/)!
  const [first, second, third] = path!.match(/[ML][^,]+/g)!.map((text) => Number(text.slice(1)))
  expect(third! - second!).toBeCloseTo(second! - first!, 1)
  expect(second! - first!).toBeGreaterThan(50)
  for (const tick of ["313", "1.252k", "5.008k"]) expect(svg).toContain(`>${tick}<`)
  expect(await curvesChart([{ points: [] }], { ...look, logarithmic: true })).not.toMatch(/NaN|undefined|Infinity/)
})

test("smoothing is centred and keeps a constant and a straight line", () => {
  expect(smooth([3, 3, 3, 3], 3)).toEqual([3, 3, 3, 3])
  expect(smooth([0, 1, 2, 3, 4], 3)).toEqual([0.5, 1, 2, 3, 3.5])
  expect(smooth([5, 7], 0.1)).toEqual([5, 7])
})

test("thinning keeps the ends", () => {
  const points = Array.from({ length: 12_345 }, (_, i) => i)
  const kept = thin(points)
  expect(kept.length).toBeLessThanOrEqual(501)
  expect([kept[0], kept.at(-1)]).toEqual([0, 12_344])
  expect(thin([1, 2, 3])).toEqual([1, 2, 3])
})
