/** Parameters, to the unit, as the reference implementations count them. Multiply-adds are published in G, see below. */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { findVariant } from "../../core/family/variant-name.ts"
import { type VariantName, variants } from "../../core/family/variants.ts"
import { family, towerCost } from "./family.ts"

const members = family()
const memberOf = (name: VariantName) => members.find((member) => member.name === name)!

/** [image in training, image fused, text in training, text fused] */
const parameters: Readonly<Record<string, readonly [number, number, number, number]>> = {
  "mobileclip-s0": [11_406_464, 11_356_992, 42_441_216, 42_435_072],
  "mobileclip-s1": [21_541_120, 21_460_544, 63_428_096, 63_428_096],
  "mobileclip-s2": [35_814_720, 35_702_480, 63_428_096, 63_428_096],
  "mobileclip-b": [86_348_544, 86_348_544, 63_428_096, 63_428_096],
  "mobileclip-blt": [86_348_544, 86_348_544, 63_428_096, 63_428_096],
  "mobileclip-s3": [125_235_648, 125_074_272, 123_650_304, 123_650_304],
  "mobileclip-s4": [321_784_832, 321_569_664, 123_650_304, 123_650_304],
  "mobileclip-l14": [303_966_976, 303_966_976, 123_650_304, 123_650_304],
  "mobileclip2-s0": [11_406_976, 11_357_504, 63_428_096, 63_428_096],
  "mobileclip2-s2": [35_815_232, 35_702_992, 63_428_096, 63_428_096],
  "mobileclip2-b": [86_349_056, 86_349_056, 63_428_096, 63_428_096],
  "mobileclip2-s3": [125_235_648, 125_074_272, 123_650_304, 123_650_304],
  "mobileclip2-s4": [321_784_832, 321_569_664, 123_650_304, 123_650_304],
  "mobileclip2-l14": [303_966_976, 303_966_976, 123_650_304, 123_650_304],
}

const released = members.filter(({ published }) => published !== null)

test("every released model is in the family, with its published figures", () => {
  expect(released).toHaveLength(14)
  for (const { name } of released) expect(parameters).toHaveProperty([name])
})

test.each(released.map((member) => [member.name, member] as const))("parameters of %s, to the unit", (name, member) => {
  const { image, text } = member
  const counted = [image.parameters.train, image.parameters.fused, text.parameters.train, text.parameters.fused]
  expect(counted).toEqual(parameters[name])
})

describe("golden files", () => {
  const folder = join(dirname(fileURLToPath(import.meta.url)), "../../../test/golden/models")
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^\w+\/(?!tiny|coca)[^.]*\.json$/.test(file),
  )

  test.each(files)("%s counts the same parameters", (file) => {
    const golden = JSON.parse(readFileSync(join(folder, file), "utf8")).params
    const { image, text } = memberOf(findVariant(file.replace(/\.json$/, "")))
    expect(image.parameters).toEqual({ train: golden.train.image, fused: golden.reparam.image })
    expect(text.parameters).toEqual({ train: golden.train.text, fused: golden.reparam.text })
  })

  test("there are several", () => {
    expect(files.length).toBeGreaterThan(1)
  })
})

/** In the last block, projection and perceptron of the 196 rows that nothing reads, which are not computed. */
const unread = (196 * 9 * 768 ** 2) / 1e9

/** Without the projection to the embedding, as the published 2.376, 4.641, 7.813 and 16.992 G are counted. */
const trunk: Readonly<Record<string, number>> = {
  mci0: 2.376,
  mci1: 4.641,
  mci2: 7.813,
  "vit-b16-apple": 16.992 - unread,
  "vit-b16-timm": 16.992 - unread,
}

test.each(members.filter(({ image }) => image.name in trunk).map(({ name }) => name))(
  "multiply-adds of the image tower of %s",
  (name) => {
    const { layers } = towerCost(variants[name].model, "image", "fused")
    const rest = layers.filter(({ path }) => path !== "image.head" && path !== "image.projection")
    expect(rest).toHaveLength(layers.length - 1)
    const count = rest.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0)
    expect(count / 1e9).toBeCloseTo(trunk[memberOf(name).image.name]!, 3)
  },
)

test.each(released.map((member) => [member.name, member] as const))(
  "published parameters of %s are the fused ones, rounded, or a correction says so",
  (_, { image, text, published }) => {
    const { parameters, corrections } = published!
    const differs = (millions: number, count: number) => Math.abs(millions - count / 1e6) > 0.05
    const wrong = [differs(parameters.image, image.parameters.fused), differs(parameters.text, text.parameters.fused)]
    expect(wrong[0]).toBe(corrections.some((text) => text.includes("image parameters")))
    expect(wrong[1]).toBe(corrections.some((text) => text.includes("123.6 M text parameters")))
  },
)

test("the whole table takes less than a second of the processor", () => {
  const start = process.cpuUsage()
  family()
  const { user, system } = process.cpuUsage(start)
  expect(user + system).toBeLessThan(1e6)
})

test("the other figures of a member", () => {
  expect(memberOf("mobileclip2-s0")).toMatchObject({
    image: { name: "mci0", attentionMultiplyAdds: 8_388_608 },
    text: { name: "base" },
    imageSize: 256,
    embedDim: 512,
    contextLength: 77,
    causal: false,
    preprocessing: { size: 256, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
    published: { imagenet: { value: 71.534, source: "results" }, latency: { image: 1.5, text: 3.3 } },
  })
  expect(memberOf("quickstart").published).toBeNull()
})
