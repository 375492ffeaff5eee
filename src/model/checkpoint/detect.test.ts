import { describe, expect, test } from "vitest"
import {
  type CaptionerName,
  type ClipConfig,
  captioners,
  type VariantName,
  variants,
} from "../../core/family/variants.ts"
import { Clip, ImageEncoder } from "../clip.ts"
import { Coca } from "../coca.ts"
import { reparameterize } from "../reparameterize.ts"
import { detectModel } from "./detect.ts"
import { type StateDict, withoutWrappers } from "./state-dict.ts"
import { type KeyFlavour, type PublishedModel, publishedTensors } from "./weights.ts"

const names = (Object.keys(variants) as VariantName[]).filter((name) => name.startsWith("mobileclip"))

/** Names and shapes of a file of this model; its values are all `value`. */
function fileOf(model: PublishedModel, flavour: KeyFlavour, value = 1): StateDict {
  const shapes = new Map([...publishedTensors(model, flavour).values()].map(({ key, shape }) => [key, shape]))
  return {
    keys: [...shapes.keys()],
    shape: (key) => shapes.get(key)!,
    read: (key) => new Float32Array(shapes.get(key)!.reduce((size, dim) => size * dim, 1)).fill(value),
  }
}

const config = (name: VariantName): ClipConfig => variants[name].model
const converted = (name: VariantName): ClipConfig => ({ ...config(name), headBias: true })

describe("every released file is told by its contents", () => {
  test.each(names)("%s as it was released", (name) => {
    for (const [form, model] of [
      ["train", new Clip(config(name))],
      ["reparameterized", reparameterize(new Clip(config(name)))],
    ] as const) {
      const found = detectModel(fileOf(model, variants[name].keys), "file", { hints: [name] })
      const fixed = form === "train" || model.namedParameters().size === new Clip(config(name)).namedParameters().size
      expect(found).toMatchObject({ name, flavour: variants[name].keys, form: fixed ? "train" : form })
      expect(found.model.config).toEqual(config(name))
      expect(found.preprocessing).toEqual(variants[name].preprocessing)
    }
  })

  test.each(["mobileclip-s1", "mobileclip-s2", "mobileclip-b", "mobileclip-blt"] as const)(
    "%s converted to open_clip's names: its own function, told by the zero bias",
    (name) => {
      const found = detectModel(fileOf(new Clip(converted(name)), "openclip", 0), "file", { hints: [name] })
      expect(found).toMatchObject({ name, flavour: "openclip" })
      expect(found.model.config.image).toEqual(config(name).image)
    },
  )

  test("B with a learned bias is MobileCLIP2's function, whatever the file is called", () => {
    const file = fileOf(new Clip(converted("mobileclip2-b")), "openclip")
    const found = detectModel(file, "file", { hints: ["MobileCLIP-B"] })
    expect(found.name).toBe("mobileclip2-b")
    expect(found.model.config.image).toMatchObject({ stemPadding: 0, normEps: 1e-6 })
  })

  test.each(["mobileclip2-s0", "mobileclip2-s2", "mobileclip2-s4", "mobileclip2-l14"] as const)(
    "%s, the image tower alone in timm's names",
    (name) => {
      const found = detectModel(fileOf(new ImageEncoder(converted(name)), "timm"), "file", { hints: [name] })
      expect(found).toMatchObject({ name, flavour: "timm" })
      expect(found.model).not.toHaveProperty("text")
    },
  )

  test("CLIP's towers and captioners, of any context", () => {
    const told = { quickGelu: false }
    for (const name of ["vit-b-16", "vit-b-32", "vit-b-32-256"] as const) {
      const found = detectModel(fileOf(new Clip(config(name)), "clip"), "file", told)
      // 224 and 256 pixels are told apart by the table of positions.
      expect([found.name, found.preprocessing]).toEqual([name, variants[name].preprocessing])
    }
    const name: CaptionerName = "coca-vit-l-14"
    const { model } = captioners[name]
    const long = { ...model, text: { ...model.text, contextLength: 255 } }
    const found = detectModel(fileOf(new Coca(long), "coca"), "file")
    expect(found).toMatchObject({ name, flavour: "coca" })
    expect(found.model.config).toEqual(long)
  })
})

test.each(["vit-b-32", "vit-b-16"] as const)("%s is two functions of the same tensors", (name) => {
  const file = fileOf(new Clip(config(name)), "clip")
  expect(() => detectModel(file, "f.bin")).toThrow(`f.bin: the weights fit ${name} and ${name}-quickgelu`)
  expect(detectModel(file, "f.bin", { quickGelu: true }).name).toBe(`${name}-quickgelu`)
  expect(detectModel(file, "f.bin", { hints: [`${name}-quickgelu.pt`] }).name).toBe(`${name}-quickgelu`)
})

describe("ViT-L/14 is two functions of the same tensors", () => {
  const file = fileOf(new Clip(config("vit-l-14")), "clip")
  test("which nothing tells: an error that lists them", () => {
    expect(() => detectModel(file, "ViT-L-14.pt", { hints: ["DFN2B-CLIP-ViT-L-14"] })).toThrow(
      "ViT-L-14.pt: the weights fit vit-l-14 and vit-l-14-quickgelu, which compute different functions",
    )
  })
  test.each([
    ["the name asked for", { wanted: "vit-l-14" }, "vit-l-14"],
    ["the file's name", { hints: ["ViT-L-14-quickgelu.safetensors"] }, "vit-l-14-quickgelu"],
    ["a configuration with quick_gelu", { quickGelu: true }, "vit-l-14-quickgelu"],
    ["a configuration without", { quickGelu: false }, "vit-l-14"],
  ] as const)("told by %s", (_, known, name) => {
    expect(detectModel(file, "file", known).name).toBe(name)
  })
})

describe("what is wrong with a file is named", () => {
  const base = fileOf(new Clip(config("mobileclip2-s0")), "openclip")
  const keys = [...base.keys]
  const key = "text.transformer.resblocks.3.attn.in_proj_weight"
  test("a missing tensor", () => {
    const file = { ...base, keys: keys.filter((name) => name !== key) }
    expect(() => detectModel(file, "f.pt")).toThrow(`f.pt: tensor "${key}" is missing`)
  })
  test("one too many", () => {
    expect(() => detectModel({ ...base, keys: [...keys, "visual.trunk.extra"] }, "f.pt")).toThrow(
      'f.pt: tensor "visual.trunk.extra" does not belong to this model',
    )
  })
  test("another shape", () => {
    const file = { ...base, keys, shape: (name: string) => (name === key ? [1, 2] : base.shape(name)) }
    expect(() => detectModel(file, "f.pt")).toThrow(`f.pt: tensor "${key}" has shape [1,2], expected [1536,512]`)
  })
  test("not the model that was asked for", () => {
    expect(() => detectModel({ ...base, keys }, "f.pt", { wanted: "mobileclip2-s2" })).toThrow(/^f\.pt: tensor "/)
  })
  test("another kind of file", () => {
    expect(() => detectModel({ ...base, keys: ["bert.weight"] }, "f.pt")).toThrow('tensors like "bert.weight"')
  })
})

/** The file as a wrapper of the model would write it. */
function renamed(file: StateDict, rename: (key: string) => string): StateDict {
  const keyOf = new Map([...file.keys].map((key) => [rename(key), key]))
  return {
    keys: [...keyOf.keys()],
    shape: (name) => file.shape(keyOf.get(name)!),
    read: (name) => file.read(keyOf.get(name)!),
  }
}

/** A file whose tensors differ: each has its number as values. */
function numbered(file: StateDict): StateDict {
  const numbers = new Map([...file.keys].map((key, i) => [key, i]))
  return { ...file, read: (key) => file.read(key).fill(numbers.get(key)!) }
}

describe("what wrappers put into names is left out", () => {
  const file = numbered(fileOf(new Clip(config("mobileclip2-s0")), "openclip"))
  const firstValues = (found: StateDict) =>
    [...detectModel(found, "file").model.namedParameters()].map(([path, parameter]) => [path, parameter.read()[0]])
  const expected = firstValues(file)

  test.each([
    ...[
      "module.",
      "_orig_mod.",
      "model.",
      "module._orig_mod.",
      "_orig_mod.module.",
      "model._orig_mod.",
      "model.model.",
    ],
    ...["module.model.", "_fsdp_wrapped_module._orig_mod.", "model.module._orig_mod."],
  ])("%s before all names", (prefix) => {
    const wrapped = renamed(file, (key) => prefix + key)
    expect(() => detectModel(wrapped, "file")).toThrow("no model of the family has tensors like")
    expect(firstValues(withoutWrappers(wrapped))).toEqual(expected)
  })

  test("one tower alone compiled, a block wrapped in it, and the count of an average", () => {
    const compiled = renamed(file, (key) =>
      key
        .replace(/^visual\./, "visual._orig_mod.")
        .replace(/resblocks\.(\d+)/, "resblocks.$1._checkpoint_wrapped_module"),
    )
    expect(firstValues(withoutWrappers(compiled))).toEqual(expected)
    const averaged = renamed(file, (key) => `module.${key}`)
    expect(firstValues(withoutWrappers({ ...averaged, keys: ["n_averaged", ...averaged.keys] }))).toEqual(expected)
  })

  test("Apple's names have a `model.` of their own, which stays", () => {
    const apple = fileOf(new Clip(config("mobileclip-s1")), "apple")
    const found = withoutWrappers(renamed(apple, (key) => `model.${key}`))
    expect([...found.keys]).toEqual([...apple.keys])
  })

  test("names that would become one stay as they are, and so do those of which some lack a prefix", () => {
    const twice = { ...file, keys: ["visual.a", "visual._orig_mod.a"] }
    expect([...withoutWrappers(twice).keys]).toEqual(twice.keys)
    const some = { ...file, keys: ["model.visual.a", "visual.b"] }
    expect([...withoutWrappers(some).keys]).toEqual(some.keys)
  })
})
