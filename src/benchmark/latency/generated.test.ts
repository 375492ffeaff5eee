import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { variants } from "../../core/family/variants.ts"
import { exportModel } from "../../export/export.ts"
import { generatedClip, towerCost, writeTower } from "./generated.ts"
import { openTower, towerInput } from "./runner.ts"
import { familyNames, findSubjects, quickNames } from "./subjects.ts"

const folder = mkdtempSync(join(tmpdir(), "generated-"))
afterAll(() => rmSync(folder, { recursive: true }))

const options = { towers: ["image", "text"], runtime: "onnxruntime", dtypes: null, say() {} } as const

test("CLIP's towers have the parameters of open_clip's models, and half of its operations as multiply-adds, but for rows that nothing reads", () => {
  for (const [name, parameters, gflops] of [
    ["vit-b-32", 151_277_313, 14.78],
    ["vit-b-32-256", 151_288_833, 17.46],
    ["vit-b-16", 149_620_737, 41.09],
  ] as const) {
    const { model } = variants[name]
    const [image, text] = [towerCost(model, "image"), towerCost(model, "text")]
    // And the logarithm of the factor on similarities.
    expect(image.parameters + text.parameters + 1).toBe(parameters)
    const rest =
      unread(1 + (model.imageSize / model.image.patchSize) ** 2, model.image.width) +
      unread(model.text.contextLength, model.text.width)
    expect((2 * (image.macs + text.macs + rest)) / 1e9).toBeCloseTo(gflops, 1)
  }
})

/** open_clip's last blocks go on with all tokens; ours, after keys and values, with one. The others' products and attention. */
const unread = (tokens: number, width: number) => (tokens - 1) * (9 * width ** 2 + 2 * tokens * width)

test("what several members have is measured once, with all of their names", async () => {
  const subjects = await findSubjects(familyNames, options)
  const of = (architecture: string) => subjects.find((subject) => subject.architecture === architecture)!.models
  expect(subjects).toHaveLength(15)
  expect(of("mci0")).toEqual(["mobileclip-s0", "mobileclip2-s0"])
  expect(of("mct")).toEqual(["mobileclip-s0"])
  expect(of("vit-b16-apple")).toEqual(["mobileclip-b", "mobileclip-blt"])
  expect(subjects.filter(({ architecture }) => architecture === "vit-b32").map(({ models }) => models)).toEqual([
    ["vit-b-32"],
    ["vit-b-32-256"],
  ])
  for (const name of familyNames) expect(subjects.filter(({ models }) => models.includes(name))).toHaveLength(2)
  expect(quickNames).toEqual(familyNames.filter((name) => !["s3", "s4", "l14"].includes(name.split("-").at(-1)!)))
})

test("a name is given twice, in two spellings: its rows are there once", async () => {
  const subjects = await findSubjects(["MobileCLIP-S0", "mobileclip_s0"], options)
  expect(subjects.map(({ models }) => models)).toEqual([["mobileclip-s0"], ["mobileclip-s0"]])
})

test("a folder of one's own has the cost of the member that it is, and its type of weights", async () => {
  const own = join(folder, "own")
  await exportModel(tinyModel(), { ...tinyInfo, name: "mine" }, own, { dtype: "fp16" })
  const path = join(own, "mobileclip.json")
  const manifest = JSON.parse(readFileSync(path, "utf8"))
  const config = { ...variants.quickstart.model, headBias: false }
  // Pictures of another size take other time.
  writeFileSync(path, JSON.stringify({ ...manifest, config: { ...config, imageSize: 2 * config.imageSize } }))
  expect((await findSubjects([own], options)).map(({ architecture }) => architecture)).toEqual([null, "quickstart"])
  writeFileSync(path, JSON.stringify({ ...manifest, config }))
  const subjects = await findSubjects([own], options)
  expect(subjects.map(({ models, tower, architecture }) => [models, tower, architecture])).toEqual([
    [["mine"], "image", "quickstart"],
    [["mine"], "text", "quickstart"],
  ])
  expect(subjects[0]).toMatchObject({ source: { kind: "folder", dtype: "fp16" }, cost: { parameters: 257_424 } })
  await expect(findSubjects([own], { ...options, dtypes: ["fp32"] })).rejects.toThrow("is in fp16, not fp32")
  await expect(findSubjects([own, `${own}/`], options)).rejects.toThrow("two of the models are named mine")
})

test("what is neither a path nor a name is refused, with the nearest names", async () => {
  await expect(findSubjects(["mobileclip2-s9"], options)).rejects.toMatchObject({
    message: '"mobileclip2-s9" is neither a path on this machine nor a name of the family',
    hint: expect.stringContaining("mobileclip2-s0"),
  })
})

test("generated values are as wide as initial ones, the same each time, and not all zero", () => {
  const weights = generatedClip(variants.quickstart.model).namedParameters()
  const weight = weights.get("text.projection")!
  const { init } = weight
  if (init.kind !== "normal") throw new Error("another distribution is expected here")
  const values = weight.read()
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)
  expect(deviation / init.std).toBeCloseTo(1, 1)
  expect(weight.read()).toEqual(values)
})

test.each(["image", "text"] as const)(
  "a %s tower of either type gives finite vectors that differ in their values",
  async (tower) => {
    const config = variants.quickstart.model
    const sizes = { imageSize: config.imageSize, contextLength: config.text.contextLength }
    for (const dtype of ["fp32", "fp16"] as const) {
      const file = `${tower}-${dtype}.onnx`
      await writeTower(config, tower, folder, file, { dtype })
      const names = { input: tower === "image" ? "pixel_values" : "input_ids", output: `${tower}_embeds` }
      const place = { tower, directory: folder, file, ...names, ...sizes }
      const runner = await openTower(place, { batch: 3, threads: 1, device: "cpu" })
      const vectors = (await runner.run()) as Float32Array
      await runner.close()
      expect(vectors).toHaveLength(3 * config.embedDim)
      expect(vectors.every(Number.isFinite)).toBe(true)
      expect(new Set(vectors).size).toBeGreaterThan(config.embedDim / 2)
    }
  },
)

test("texts are of full length, each with its end", () => {
  const { data } = towerInput({ imageSize: 8, text: { contextLength: 4 } }, "text", 2)
  expect([...data]).toEqual([320n, 320n, 320n, 49407n, 320n, 320n, 320n, 49407n])
})
