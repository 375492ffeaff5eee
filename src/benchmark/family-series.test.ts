import { expect, test } from "vitest"
import { familySeries, fullName, shortName } from "./family-series.ts"

test("names as the papers write them", () => {
  expect(["mobileclip-s0", "mobileclip-blt", "mobileclip2-l14", "vit-b-16", "vit-b-32-256"].map(shortName)).toEqual([
    ...["S0", "B (LT)", "L/14", "ViT-B/16", "ViT-B/32-256"],
  ])
  expect(["mobileclip-blt", "mobileclip2-s4", "vit-b-32", "mobileclip-mine", "vit-x-1"].map(fullName)).toEqual([
    ...["MobileCLIP-B (LT)", "MobileCLIP2-S4", "ViT-B/32", "mobileclip-mine", "vit-x-1"],
  ])
})

test("each family is a series; what is not released is in none", () => {
  const points = ["mobileclip2-s0", "vit-b-16", "mobileclip-s0"].map((variant, x) => ({ variant, x, y: 1 }))
  expect(familySeries(points).map(({ name, points }) => [name, points])).toEqual([
    ["MobileCLIP", [{ name: "S0", x: 2, y: 1 }]],
    ["MobileCLIP2", [{ name: "S0", x: 0, y: 1 }]],
  ])
})
