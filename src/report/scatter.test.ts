import { expect, test } from "vitest"
import { scatterChart, scatterFigure } from "./scatter.ts"

const axes = { xTitle: "ms", yTitle: "%" } as const
const points = [
  { name: "S0", x: 4, y: 58 },
  { name: "L/14", x: 400, y: 68 },
]

test("points carry their names, series their colours; the lower axis is one of powers", async () => {
  const svg = await scatterChart(
    [
      { name: "v1", points, joined: true },
      { name: "v2", points: [{ name: "S2", x: 40, y: 60 }] },
    ],
    axes,
  )
  for (const text of [">S0<", ">L/14<", ">S2<", ">v1<", ">v2<", ">ms<", ">%<"]) expect(svg).toContain(text)
  const x = (name: string) => Number(new RegExp(`translate\\(([\\d.]+),[\\d.]+\\)[^>]*>${name}<`).exec(svg)![1])
  // 40 is half way between 4 and 400.
  expect(x("S2")).toBeCloseTo((x("S0") + x("L/14")) / 2, 0)
})

test("points that no such axis has are left out, and a figure without points is drawn", async () => {
  const given = [...points, { name: "zero", x: 0, y: 1 }, { name: "unknown", x: Number.NaN, y: 1 }]
  const svg = await scatterChart([{ name: "v1", points: given }], axes)
  for (const name of ["zero", "unknown", "NaN"]) expect(svg).not.toContain(name)
  for (const few of [[], points.slice(0, 1), [{ name: "low", x: 1, y: 0 }]]) {
    expect(await scatterChart([{ name: "v1", points: few }], axes)).not.toMatch(/NaN|Infinity/)
  }
})

test("names may hold anything", async () => {
  const name = `a\u2028"'<img src=x>\0`
  const figure = await scatterFigure([{ name, points: [{ name, x: 1, y: 1 }] }], {
    ...axes,
    label: name,
    caption: name,
  })
  expect(figure.text).not.toContain("<img")
  expect(figure.text).not.toMatch(/[\0\u2028]/)
})
