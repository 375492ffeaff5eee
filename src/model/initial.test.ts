import { createHash } from "node:crypto"
import { describe, expect, test } from "vitest"
import { tinyModel } from "../../test/tiny-model.ts"
import { Random } from "../core/arrays/random.ts"
import { type ClipConfig, imageTowers, textTowers } from "../core/family/variants.ts"
import { Clip } from "./clip.ts"
import { Coca } from "./coca.ts"
import { initialize, type Module } from "./module.ts"

/** How values begin: all equal, normal around 0, or uniform in +-bound. */
type Initial = number | { readonly std: number } | { readonly bound: number }

/**
 * Expected values by path, the first pattern that matches. Standard deviations, bounds and zeros are the references' own
 * code: open_clip transformer.py@7260a46, timm vision_transformer.py and fastvit.py@aa4b585, and PyTorch's defaults
 * (uniform in +-1/sqrt(fan in) for convolutions and linear layers, Xavier's for a MultiheadAttention's input).
 */
type Expected = readonly (readonly [pattern: RegExp, initial: Initial])[]

const norms: Expected = [
  [/(norm\w*|Norm|bn|identity)\.weight$/, 1],
  [/(norm\w*|Norm|bn|identity)\.bias$/, 0],
  [/layerScale\d?$/, 1e-5],
]
const fanIn = (values: number) => ({ bound: values ** -0.5 })
const xavier = (input: number, output: number) => ({ bound: (6 / (input + output)) ** 0.5 })

/** Norms first: a pattern of theirs would match others' names. */
const tower = (rules: Expected): Expected => [...norms, ...rules]

/** Width and blocks of the towers below: enough values for narrow bounds, few enough for a test. */
const [width, layers] = [128, 3]
const sizes = { width, layers, heads: 2 }

const text: Expected = tower([
  [/tokenEmbedding$/, { std: 0.02 }],
  [/(positionalEmbedding|classToken)$/, { std: 0.01 }],
  [/attn\.qkv\.weight$/, { std: width ** -0.5 }],
  [/(attn\.proj|mlp\.fc2)\.weight$/, { std: (width * 2 * layers) ** -0.5 }],
  [/mlp\.fc1\.weight$/, { std: (2 * width) ** -0.5 }],
  [/attn\.\w+\.bias$/, 0],
  [/mlp\.fc1\.bias$/, fanIn(width)],
  [/mlp\.fc2\.bias$/, fanIn(4 * width)],
  [/projection$/, { std: width ** -0.5 }],
])

const timmBlocks: Expected = [
  [/classToken$/, { std: 1e-6 }],
  [/positionalEmbedding$/, { std: 0.02 }],
  [/(blocks\.\d+\.(attn|mlp)\.\w+|projection)\.weight$/, { std: 0.02 }],
  [/(blocks\.\d+\.(attn|mlp)\.\w+|projection)\.bias$/, 0],
]

const openClipVit: Expected = [
  [/patchEmbed\.weight$/, fanIn(3 * 8 * 8)],
  [/(classToken|positionalEmbedding|projection\.weight)$/, { std: width ** -0.5 }],
  [/blocks\.\d+\.attn\.qkv\.weight$/, xavier(width, 3 * width)],
  [/blocks\.\d+\.attn\.proj\.weight$/, fanIn(width)],
  [/attn\.\w+\.bias$/, 0],
  [/mlp\.fc1\.(weight|bias)$/, fanIn(width)],
  [/mlp\.fc2\.(weight|bias)$/, fanIn(4 * width)],
]

const fastvit: Expected = tower([
  [/convFfn\.(conv\.conv|fc1|fc2)\.weight$/, { std: 0.02 }],
  [/convFfn\.fc[12]\.bias$/, 0],
  [/(tokenMixer\.(qkv|proj)|head)\.weight$/, { std: 0.02 }],
  [/(tokenMixer\.(qkv|proj)|head)\.bias$/, 0],
  [/stem\.0\.convKxk\.0\.conv\.weight$/, fanIn(3 * 9)],
  [/stem\.0\.convScale\.conv\.weight$/, fanIn(3)],
  [/stem\.2\.convKxk\.0\.conv\.weight$/, fanIn(64)],
  [/(stem\.1|tokenMixer\.mixer)\.convKxk\.0\.conv\.weight$/, fanIn(9)],
  [/(stem\.1|tokenMixer\.mixer)\.convScale\.conv\.weight$/, fanIn(1)],
  [/largeKernel\.large\.conv\.weight$/, fanIn(49)],
  [/largeKernel\.small\.conv\.weight$/, fanIn(9)],
  [/posEmb\.conv\.(weight|bias)$/, fanIn(49)],
  [/stages\.1\.downsample\.pointwise\.convKxk\.0\.conv\.weight$/, fanIn(128)],
  [/stages\.1\.downsample\.se\.fc1\.(weight|bias)$/, fanIn(128)],
  [/stages\.1\.downsample\.se\.fc2\.(weight|bias)$/, fanIn(32)],
  [/finalConv\.block\.convKxk\.0\.conv\.weight$/, fanIn(9)],
  [/finalConv\.block\.convScale\.conv\.weight$/, fanIn(1)],
  [/finalConv\.se\.fc1\.(weight|bias)$/, fanIn(256)],
  [/finalConv\.se\.fc2\.(weight|bias)$/, fanIn(16)],
])

const textTower = { ...textTowers.base, ...sizes }
const clip = (image: ClipConfig["image"], headBias: boolean, textConfig: ClipConfig["text"] = textTower) =>
  new Clip({ imageSize: 64, embedDim: 256, image, headBias, text: textConfig })

const vit = { kind: "vit", ...sizes, patchSize: 8, activation: "gelu" } as const
const convStem = { ...imageTowers["vit-b16-timm"], ...sizes, stemWidth: 64 }
const mci = {
  ...imageTowers.mci0,
  stages: [
    { depth: 1, dim: 64, mlpRatio: 3, mixer: "repmixer" },
    { depth: 1, dim: 128, mlpRatio: 3, mixer: "attention", se: true, posEmb: true },
  ],
} as const

const towers: readonly (readonly [name: string, module: Module, expected: Expected])[] = [
  ["text", clip(vit, true).text, text],
  [
    "text with convolutions",
    clip(vit, true, { ...textTowers.mct, ...sizes }).text,
    [[/tokenMixer\.mixer\.convKxk\.0\.conv\.weight$/, fanIn(11)], [/convFfn\.(conv\.conv|fc1|fc2)\.weight$/, { std: 0.02 }], [/convFfn\.fc[12]\.bias$/, 0], ...text], // biome-ignore format: one line
  ],
  ["timm's ViT", clip(vit, true).image, tower([[/patchEmbed\.weight$/, fanIn(3 * 8 * 8)], ...timmBlocks])],
  [
    "timm's ViT with a convolutional stem",
    clip(convStem, true).image,
    tower([
      [/patchEmbed\.0\.conv\.weight$/, fanIn(3 * 16)],
      [/patchEmbed\.[12](\.conv)?\.(weight|bias)$/, fanIn(64 * 4)],
      ...timmBlocks,
    ]),
  ],
  ["open_clip's ViT", clip(vit, false).image, tower(openClipVit)],
  ["FastViT", clip(mci, true).image, fastvit],
]

/**
 * What five standard errors allow: of the mean std / sqrt(n), of the standard deviation at most its value / sqrt(2 n)
 * (normal; less for uniform values). By chance a right value is outside in one of a million.
 */
function check(path: string, values: Float32Array, initial: Initial): void {
  if (typeof initial === "number") {
    expect(new Set(values), path).toEqual(new Set([Math.fround(initial)]))
    return
  }
  const n = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n)
  const expected = "std" in initial ? initial.std : initial.bound / Math.sqrt(3)
  expect(Math.abs(mean), `mean of ${path}`).toBeLessThan((5 * expected) / Math.sqrt(n))
  expect(Math.abs(std / expected - 1), `std of ${path}`).toBeLessThan(5 / Math.sqrt(2 * n))
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  if ("bound" in initial) expect(largest, `bound of ${path}`).toBeLessThanOrEqual(initial.bound * (1 + 1e-6))
  // A normal value beyond 6 standard deviations comes once in five hundred million.
  else expect(largest, `largest of ${path}`).toBeLessThan(6 * initial.std)
}

function checkAll(module: Module, expected: Expected): void {
  initialize(module, 0)
  for (const [path, parameter] of module.namedParameters()) {
    if (parameter.role === "buffer") continue
    const rule = expected.find(([pattern]) => pattern.test(path))
    expect(rule, `nothing is expected of ${path}`).toBeDefined()
    check(path, parameter.read(), rule![1])
  }
}

test("values are the same as ever, and each time they are read", () => {
  const model = tinyModel()
  initialize(model, 3)
  const digest = () => {
    const hash = createHash("sha256")
    for (const parameter of model.namedParameters().values()) hash.update(new Uint8Array(parameter.read().buffer))
    return hash.digest("hex")
  }
  expect(digest()).toBe("e8b4e0afd793fb1385a879b2715ec8851e59174ac87ca37bac24260ebbd2b2d8")
  expect(digest()).toBe("e8b4e0afd793fb1385a879b2715ec8851e59174ac87ca37bac24260ebbd2b2d8")
})

test.each([0, 1, 2, 2047, 2048, 2049, 5001])("%i normal values at once are those that come one by one", (size) => {
  for (const drawnBefore of [0, 1]) {
    const [one, many] = [Random.of(1, size), Random.of(1, size)]
    for (const random of [one, many]) for (let i = 0; i < drawnBefore; i++) random.normal()
    const values = new Float32Array(size)
    many.fillNormal(values, 0.3)
    expect(values).toEqual(Float32Array.from({ length: size }, () => 0.3 * one.normal()))
    expect([many.normal(), many.normal(), many.uint32()]).toEqual([one.normal(), one.normal(), one.uint32()])
  }
})

describe("initial values are the reference's", () => {
  test.each(towers)("%s", (_, module, expected) => checkAll(module, expected))

  test("a captioner: open_clip's ViT, a pooler as PyTorch begins it, and towers of text", () => {
    const pooler = { queries: 20, heads: 2 }
    const config = {
      imageSize: 64,
      embedDim: 64,
      image: vit,
      pooler,
      text: { ...textTower, width: 64 },
      decoder: { layers, heads: 2 },
    }
    const model = new Coca(config)
    const narrow = (rules: Expected): Expected => rules.map(([pattern, initial]) => [pattern, narrowed(initial)])
    checkAll(model.image, [
      [/pooler\.query$/, { std: 1 }],
      [/pooler\.attn\.query\.weight$/, xavier(64, 64)],
      [/pooler\.attn\.(key|value)\.weight$/, xavier(width, 64)],
      [/pooler\.attn\.proj\.weight$/, fanIn(64)],
      ...tower(openClipVit),
    ])
    checkAll(model.text, narrow(text))
    checkAll(model.decoder, [
      [/crossBlocks\.\d+\.attn\.(query|key|value)\.weight$/, { std: 64 ** -0.5 }],
      ...narrow(text),
    ])
  })
})

/** The standard deviations of `text` for a tower of half the width: those by 1 / sqrt(width) are larger by sqrt(2). */
function narrowed(initial: Initial): Initial {
  if (typeof initial === "number") return initial
  if ("bound" in initial) return { bound: initial.bound * Math.SQRT2 }
  return initial.std === 0.02 || initial.std === 0.01 ? initial : { std: initial.std * Math.SQRT2 }
}
