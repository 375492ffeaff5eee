import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { parseManifest } from "../core/inference/manifest.ts"
import { exportModel } from "./export.ts"
import { type Reference, unfusedReference } from "./verify.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "export-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const json = (file: string) => JSON.parse(readFileSync(join(folder, "model", file), "utf8"))

describe("exportModel", () => {
  test.each([
    ["causal", {}],
    ["not causal", { causal: false }],
    ["mct", { kind: "mct", causal: false }],
  ] as const)("writes a model directory, text tower %s", async (_, text) => {
    const model = tinyModel(text)
    const manifest = await exportModel(model, tinyInfo, join(folder, "model"))
    const files = readdirSync(join(folder, "model"), { recursive: true, withFileTypes: true })
    expect(
      files
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
        .sort(),
    ).toEqual([
      "config.json",
      "mobileclip.json",
      "preprocessor_config.json",
      "text_model.onnx",
      "tokenizer.json",
      "tokenizer_config.json",
      "vision_model.onnx",
    ])
    expect(parseManifest(json("mobileclip.json"), "mobileclip.json")).toEqual(manifest)
    expect(manifest.logitScale).toBeCloseTo(1 / 0.07, 4)
    expect(manifest.verification.reference).toBe("onnxruntime-node, not fused")
    expect(Math.max(manifest.verification.imageError, manifest.verification.textError!)).toBeLessThan(1e-4)
    for (const [file, { bytes, sha256 }] of Object.entries(manifest.files)) {
      expect(statSync(join(folder, "model", file)).size).toBe(bytes)
      expect(
        createHash("sha256")
          .update(readFileSync(join(folder, "model", file)))
          .digest("hex"),
      ).toBe(sha256)
    }
  })

  test("tells transformers.js what it needs to know", async () => {
    const preprocessing = { ...tinyInfo.preprocessing, interpolation: "bicubic", mean: [0.5, 0.4, 0.3] } as const
    await exportModel(tinyModel(), { ...tinyInfo, preprocessing }, join(folder, "model"))
    expect(json("config.json")).toEqual({ model_type: "clip", projection_dim: 16 })
    expect(json("preprocessor_config.json")).toMatchObject({
      size: { shortest_edge: 64 },
      resample: 3,
      do_normalize: true,
      image_mean: [0.5, 0.4, 0.3],
    })
    expect(json("tokenizer_config.json")).toMatchObject({ pad_token: "!", model_max_length: 77 })
    const { model, padding, added_tokens } = json("tokenizer.json")
    expect(padding).toMatchObject({ strategy: { Fixed: 77 }, pad_id: 0, pad_token: "!" })
    expect(added_tokens.map(({ id }: { id: number }) => id)).toEqual([49406, 49407])
    expect(Object.keys(model.vocab)).toHaveLength(49408)
    expect(model.merges).toHaveLength(48894)
    expect([model.merges[0], model.merges.at(-1)]).toEqual(["i n", "jeky ll</w>"])
  })

  test.each([
    ["transformers.js", "tokenizer.json"],
    ["immich", "textual/tokenizer.json"],
    ["plain", undefined],
  ] as const)("the manifest says of the tokenizer in layout %s where it differs", async (layout, file) => {
    const { tokenizer, files } = await exportModel(tinyModel(), tinyInfo, join(folder, "model"), { layout })
    expect(tokenizer?.file).toBe(file)
    expect(Object.keys(files).filter((name) => name.endsWith("tokenizer.json"))).toEqual(file ? [file] : [])
    expect(tokenizer?.differs.length).toBe(file && 4)
  })

  const failing = async (reference: Reference) => {
    const error = await exportModel(tinyModel(), tinyInfo, join(folder, "model"), { reference }).catch((error) => error)
    expect(readdirSync(folder)).toEqual([])
    return error.message
  }

  test("leaves nothing when the files differ from the reference", async () => {
    const exact = unfusedReference(tinyModel())
    const reference: Reference = {
      name: "another model",
      async embed(input) {
        const rows = await exact.embed(input)
        return input.tower === "text" ? rows.map((value) => value * 1.001) : rows
      },
    }
    expect(await failing(reference)).toMatch(
      /^the exported text tower differs from another model by 0\.00\d+ standard dev/,
    )
  })

  test("leaves nothing when weights are not numbers", async () => {
    const model = tinyModel()
    const { weight } = model.text.finalNorm
    weight.source = () => new Float32Array(weight.size).fill(Number.NaN)
    const error = await exportModel(model, tinyInfo, join(folder, "model")).catch((error) => error)
    expect(error.message).toBe("the exported text tower gives values that are not numbers")
    expect(readdirSync(folder)).toEqual([])
  })

  test("replaces a model, but no other folder", async () => {
    await exportModel(tinyModel(), tinyInfo, join(folder, "model"))
    await exportModel(tinyModel(), { ...tinyInfo, name: "second" }, join(folder, "model"))
    expect(json("mobileclip.json").name).toBe("second")
    writeFileSync(join(folder, "precious.txt"), "")
    await expect(exportModel(tinyModel(), tinyInfo, folder)).rejects.toThrow("is not replaced")
  })
})
