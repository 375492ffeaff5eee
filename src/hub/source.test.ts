import { expect, test } from "vitest"
import { captioners, variants } from "../core/family/variants.ts"
import { released } from "./released.ts"
import { resolveSource } from "./source.ts"

const nothing = () => false
const s0 = { kind: "hub", repo: "apple/MobileCLIP2-S0", file: "mobileclip2_s0.pt", revision: null }

test.each([
  "MobileCLIP2-S0",
  "mobileclip2_s0",
  "mobileclip2-s0",
  "apple/MobileCLIP2-S0",
  "hf-hub:apple/mobileclip2-s0",
])("%s is MobileCLIP2-S0", (name) =>
  expect(resolveSource(name, nothing)).toMatchObject({ ...s0, release: { variant: "mobileclip2-s0" } }),
)

test.each([
  ["MobileCLIP-B (LT)", "apple/MobileCLIP-B-LT", "mobileclip_blt.pt"],
  ["mobileclip_blt", "apple/MobileCLIP-B-LT", "mobileclip_blt.pt"],
  ["mobileclip2-l14", "apple/MobileCLIP2-L-14", "mobileclip2_l14.pt"],
  ["MobileCLIP2-S4-OpenCLIP", "timm/MobileCLIP2-S4-OpenCLIP", null],
  ["fastvit_mci0.apple_mclip", "apple/mobileclip_s0_timm", null],
  ["mobileclip_s0_timm", "apple/mobileclip_s0_timm", null],
  ["vit-b-32-256-datacomp", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", null],
  ["CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", null],
  ["dfn2b-clip-vit-l-14", "apple/DFN2B-CLIP-ViT-L-14", "open_clip_pytorch_model.bin"],
  [
    "mobileclip2_coca_dfn2b_s13b_mscoco38k_s12m_context77",
    "apple/mobileclip2_coca_dfn2b_s13b_mscoco38k_s12m_context77",
    null,
  ],
  ["org/anything", "org/anything", null],
  ["hf-hub:org/model.pt", "org/model.pt", null],
])("%s is in %s", (name, repo, file) => {
  expect(resolveSource(name, nothing)).toMatchObject({ repo, file, revision: null })
})

test("a file and a revision may follow a name", () => {
  expect(resolveSource("org/x:sub/a.pt@v1.0", nothing)).toMatchObject({
    repo: "org/x",
    file: "sub/a.pt",
    revision: "v1.0",
  })
  expect(resolveSource("mobileclip2-s0@abc", nothing)).toEqual({ ...s0, revision: "abc", release: released[0] })
  expect(resolveSource("hf-hub:org/x@refs/pr/1", nothing)).toMatchObject({ file: null, revision: "refs/pr/1" })
})

test("what exists is a path, and what looks like one has to exist", () => {
  expect(resolveSource("apple/MobileCLIP2-S0", () => true)).toEqual({ kind: "path", path: "apple/MobileCLIP2-S0" })
  expect(resolveSource("hf-hub:apple/MobileCLIP2-S0", () => true)).toMatchObject(s0)
  for (const path of ["./model", "runs/model.safetensors", "/x/y"]) {
    expect(() => resolveSource(path, nothing)).toThrow(`${path} does not exist`)
  }
})

test("in a folder that is here, a name is a path; hf-hub: says that it is not", () => {
  const here = (path: string) => path === "models" || path === "apple"
  expect(() => resolveSource("models/s1", here)).toThrow(
    "models/s1 does not exist, and models is a folder of this machine",
  )
  expect(resolveSource("hf-hub:models/s1", here)).toMatchObject({ repo: "models/s1" })
  expect(resolveSource("apple/MobileCLIP2-S0", here)).toMatchObject(s0)
})

test("an unknown name lists the nearest", () => {
  const error = expect.objectContaining({ hint: expect.stringMatching(/^nearest names: MobileCLIP2?-S\d, /) })
  expect(() => resolveSource("mobilclip2-s0", nothing)).toThrow(error)
  expect(() => resolveSource("", nothing)).toThrow("is not a known model")
  expect(() => resolveSource("a/b/c", nothing)).toThrow("a/b/c does not exist")
})

test("an address with a password is refused without it", () => {
  expect(() => resolveSource("https://user:SECRET@huggingface.co/apple/x", nothing)).toThrow(
    /^https:\/\/\.\.\.@huggingface\.co\/apple\/x: addresses with a user name or a password are not read$/,
  )
})

test("the table has every released variant, no name twice, and only variants that exist or are a reference's", () => {
  const count = (contents: string) => released.filter((release) => release.contents === contents).length
  expect([count("clip"), count("image tower"), count("captioner")]).toEqual([14 + 10 + 4 + 7, 10, 22])
  for (const key of Object.keys(variants).filter((key) => key.startsWith("mobileclip"))) {
    expect(resolveSource(key, nothing)).toMatchObject({ release: { variant: key } })
  }
  const known = [...Object.keys(variants), ...Object.keys(captioners)]
  for (const { name, repo, variant } of released) {
    expect(known).toContain(variant)
    expect(resolveSource(name, nothing)).toMatchObject({ repo })
    expect(resolveSource(repo, nothing)).toMatchObject({ repo })
  }
})
