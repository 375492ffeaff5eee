import { expect, test } from "vitest"
import { released } from "../hub/released.ts"
import { publishedLicense, trainedLicense } from "./license.ts"

test.each([
  ["vit-b-32", "ViT-B-32-datacomp", "mit"],
  ["vit-b-32-quickgelu", "ViT-B-32-openai", "apache-2.0"],
  ["vit-l-14", "DFN2B-CLIP-ViT-L-14-39B", "apple-amlr"],
  ["vit-l-14", "ViT-L-14-datacomp", "mit"],
  // Without a repository, only what forbids is taken for granted.
  ["mobileclip2-s0", null, "apple-amlr"],
  ["vit-b-32", null, "unknown: see where the file is from"],
  ["vit-l-14", null, "unknown: see where the file is from"],
  ["quickstart", null, "unknown: see where the file is from"],
])("%s from %s", (variant, name, license) => {
  expect(publishedLicense(variant, released.find((release) => release.name === name) ?? null)).toBe(license)
})

const apple = { name: "MobileCLIP2-S0", license: "apple-amlr" }
const mit = { name: "ViT-B-32-datacomp", license: "mit" }

test.each([
  ["from nothing", { own: null, start: null }, "your own"],
  ["from nothing, named", { own: "Acme-1.0", start: null }, "Acme-1.0"],
  ["tuned from MIT", { own: null, start: mit }, "mit"],
  ["tuned from MIT, named", { own: "Acme-1.0", start: mit }, "Acme-1.0"],
  ["tuned from one's own", { own: null, start: { name: "mine", license: "your own" } }, "your own"],
  ["taught by MIT", { own: null, start: null, teachers: [mit] }, "your own"],
  ["tuned from research", { own: null, start: apple }, "apple-amlr"],
  ["taught by research", { own: null, start: null, teachers: [mit, apple] }, "apple-amlr"],
  ["tuned from MIT, taught by research", { own: null, start: mit, teachers: [apple] }, "apple-amlr"],
] as const)("%s", (_, origins, license) => {
  expect(trainedLicense(origins)).toBe(license)
})

test("research weights do not become a product's by a word", () => {
  expect(() => trainedLicense({ own: "MIT", start: null, teachers: [apple] })).toThrow(
    "MobileCLIP2-S0 is under apple-amlr, which is for research only and holds for all that is made from it",
  )
})
