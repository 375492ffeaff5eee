import { expect, test } from "vitest"
import { findPretrained } from "./pretrained.ts"
import { released } from "./released.ts"

const found = (model: string, tag: string) => {
  const { release, note } = findPretrained(model, tag)
  return [release.repo, release.variant, note] as const
}

const refusal = (model: string, tag: string) => {
  try {
    findPretrained(model, tag)
    return expect.unreachable("this should be refused")
  } catch (error) {
    return `${(error as Error).message} | ${(error as { hint?: string }).hint}`
  }
}

test("the papers' teachers, by the names of their command lines", () => {
  expect(found("ViT-L-14", "datacomp_xl_s13b_b90k")).toEqual([
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
    "vit-l-14",
    null,
  ])
  expect(found("ViT-L-14-quickgelu", "openai")).toEqual([
    "timm/vit_large_patch14_clip_224.openai",
    "vit-l-14-quickgelu",
    null,
  ])
  expect(found("ViT-L-14", "openai")).toEqual([
    "timm/vit_large_patch14_clip_224.openai",
    "vit-l-14-quickgelu",
    "ViT-L-14 with openai is read as ViT-L-14-quickgelu: these weights were trained with QuickGELU",
  ])
  expect(found("coca_ViT-L-14", "mscoco_finetuned_laion2B-s13B-b90k")[1]).toBe("coca-vit-l-14")
})

test.each([
  ["ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "vit-b-32"],
  ["ViT-B-32", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "vit-b-32"],
  ["ViT-B-32-256", "datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", "vit-b-32-256"],
  ["ViT-B-32-quickgelu", "openai", "timm/vit_base_patch32_clip_224.openai", "vit-b-32-quickgelu"],
  ["ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "vit-b-16"],
  ["ViT-B-16", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "vit-b-16"],
  ["ViT-B-16-quickgelu", "openai", "timm/vit_base_patch16_clip_224.openai", "vit-b-16-quickgelu"],
])("%s with %s", (model, tag, repo, variant) => {
  expect(found(model, tag)).toEqual([repo, variant, null])
})

test("QuickGELU for weights that were trained without is refused", () => {
  expect(refusal("ViT-L-14-quickgelu", "datacomp_xl_s13b_b90k")).toBe(
    "datacomp_xl_s13b_b90k was trained with GELU, and ViT-L-14-quickgelu has QuickGELU: its embeddings would be wrong | " +
      "give ViT-L-14 with datacomp_xl_s13b_b90k",
  )
})

test("an unknown pair names those that are known", () => {
  expect(refusal("MobileCLIP2-S0", "openai")).toMatch(
    /^no weights "openai" are known for MobileCLIP2-S0 \| known: MobileCLIP2-S0 with dfndr2b; or give a repository/,
  )
})

test("every pair leads to a release", () => {
  const names = ["S0", "S2", "B", "S3", "L-14", "S4"].map((size) => `MobileCLIP2-${size}`)
  for (const name of names) expect(released).toContain(findPretrained(name, "dfndr2b").release)
  expect(findPretrained("MobileCLIP-B", "datacompdr_lt").release.variant).toBe("mobileclip-blt")
})
