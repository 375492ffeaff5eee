import { expect, test } from "vitest"
import { UserError } from "../errors.ts"
import { findModel, findVariant } from "./variant-name.ts"
import { variants } from "./variants.ts"

test.each([
  ["mobileclip2-s0", "mobileclip2-s0"],
  ["MobileCLIP2-S0", "mobileclip2-s0"],
  ["mobileclip2_s0", "mobileclip2-s0"],
  ["mobileclip2s0", "mobileclip2-s0"],
  [" MobileCLIP2 S0 ", "mobileclip2-s0"],
  ["apple/MobileCLIP2-S0", "mobileclip2-s0"],
  ["hf-hub:apple/MobileCLIP2-S0", "mobileclip2-s0"],
  ["apple/MobileCLIP-S1-OpenCLIP", "mobileclip-s1"],
  ["MobileCLIP-B (LT)", "mobileclip-blt"],
  ["apple/MobileCLIP-B-LT-OpenCLIP", "mobileclip-blt"],
  ["mobileclip_b", "mobileclip-b"],
  ["MobileCLIP-L/14", "mobileclip-l14"],
  ["MobileCLIP2-L-14", "mobileclip2-l14"],
  ["apple/MobileCLIP2-L/14", "mobileclip2-l14"],
  ["Quickstart", "quickstart"],
] as const)('"%s" is %s', (name, expected) => {
  expect(findVariant(name)).toBe(expected)
})

test("every name of the table finds itself", () => {
  for (const name of Object.keys(variants)) expect(findVariant(name)).toBe(name)
})

test.each([
  ["mobileclip2-s1", /^nearest names: mobileclip-s1, mobileclip2-s0, mobileclip2-s2;/],
  ["apple/MobilCLIP2_L14", /^nearest names: mobileclip2-l14, mobileclip-l14,/],
  ["", /^nearest names: /],
])('"%s" is not a name of the family; the nearest are listed', (name, hint) => {
  let error: unknown
  try {
    findVariant(name)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(UserError)
  expect((error as UserError).message).toBe(`there is no model named "${name}" in the family`)
  expect((error as UserError).hint).toMatch(hint)
})

test("captioners are models, and no variants", () => {
  expect(findModel("coca_ViT-L-14")).toBe("coca-vit-l-14")
  expect(findModel("MobileCLIP2_S0")).toBe("mobileclip2-s0")
  expect(() => findVariant("coca_ViT-L-14")).toThrow('there is no model named "coca_ViT-L-14"')
  const error = expect.objectContaining({ hint: expect.stringContaining("coca-vit-l-14") })
  expect(() => findModel("coca-vit-l-15")).toThrow(error)
})
