/** The same small model in every layout is the same teacher; files that contradict each other are none. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { exportModel } from "../export/export.ts"
import type { Clip } from "../model/clip.ts"
import { fold, reparameterize } from "../model/reparameterize.ts"
import { loadModel } from "../run/node.ts"
import { traceOnnx } from "../tensor/onnx.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { openTeacher } from "./teachers.ts"

const texts = ["a photo of a cat", "two dogs, one of them asleep", ""]
const pixels = inputImage(64, 3)

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "teachers-"))
  await exportModel(tinyModel(), tinyInfo, at("ours"))
  await exportModel(tinyModel(), tinyInfo, at("immich"), { layout: "immich" })
  await exportModel(tinyModel(), tinyInfo, at("half"), { dtype: "fp16" })
  await exportModel(tinyModel({ causal: false }), tinyInfo, at("seeing"))
  // As others publish them: without our manifest.
  for (const name of ["immich", "half", "seeing"]) rmSync(at(name, "mobileclip.json"))
  cpSync(at("ours"), at("theirs"), { recursive: true })
  rmSync(at("theirs", "mobileclip.json"))
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true }))

/** A copy of "theirs" or another, with some JSON files changed. */
function variant(name: string, changes: Record<string, (json: never) => unknown>, from = "theirs"): string {
  cpSync(at(from), at(name), { recursive: true })
  for (const [file, change] of Object.entries(changes)) {
    const json = JSON.parse(readFileSync(at(from, file), "utf8"))
    writeFileSync(at(name, file), JSON.stringify(change(json as never)))
  }
  return at(name)
}

/** A graph in a folder, of towers that see free sizes as Hugging Face's exports have them. */
function writeGraph(path: string, model: Clip, inputs: Inputs, outputs: (feeds: Feeds) => Record<string, Tensor>) {
  const folded = fold(reparameterize(model))
  const names = Object.keys(inputs)
  const spec = {
    name: "graph",
    parameters: folded.namedParameters(),
    metadata: {},
    dtype: "float32",
    encode: {},
  } as const
  const { chunks } = traceOnnx({ ...spec, inputs }, (...given) => {
    const feeds = Object.fromEntries(names.map((name, i) => [name, given[i]!]))
    return outputs({ ...feeds, model: folded } as unknown as Feeds)
  })
  writeFileSync(path, freed(Buffer.concat([...chunks()])))
}

/** The number of tokens in the declared inputs as a size that is free: a dimension of value 77 becomes one of no name. */
function freed(graph: Buffer): Buffer {
  for (const name of ["input_ids", "attention_mask"]) {
    const place = graph.indexOf(Buffer.from([0x0a, 0x02, 0x08, 77]), graph.lastIndexOf(name))
    if (graph.includes(name)) Buffer.from([0x0a, 0x02, 0x12, 0]).copy(graph, place)
  }
  return graph
}

type Inputs = Readonly<Record<string, { dtype: "float32" | "int64"; shape: readonly number[] }>>
type Feeds = Readonly<Record<"pixel_values" | "input_ids" | "attention_mask", Tensor>> & { readonly model: Clip }

const pixelValues = { dtype: "float32", shape: [-1, 3, 64, 64] } as const
const tokens = { dtype: "int64", shape: [-1, 77] } as const

async function vectors(directory: string, options = {}) {
  await using teacher = await openTeacher(directory, options)
  return { images: await teacher.encodePixels(pixels, 3), texts: await teacher.encodeTexts(texts) }
}

function worst(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length)
  return found.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0)
}

describe("the same model", () => {
  test("in our own layout gives what the encoder gives", async () => {
    await using teacher = await openTeacher(at("ours"))
    await using model = await loadModel(at("ours"))
    expect([...(await teacher.encodeTexts(texts))]).toEqual([...(await model.encodeTexts(texts))])
    expect({ ...teacher, name: teacher.name }).toMatchObject({
      name: "tiny",
      embedDim: 16,
      preprocessing: tinyInfo.preprocessing,
    })
    const { files } = model.manifest!
    expect(teacher.identity).toBe(
      ["vision_model", "text_model"]
        .reduce((text, name) => `${text} onnx/${name}.onnx=sha256:${files[`onnx/${name}.onnx`]!.sha256}`, "tiny")
        .concat(" 64px bilinear mean=0,0,0 std=1,1,1"),
    )
  })

  test("in the layouts of others, which say no hashes", async () => {
    const expected = await vectors(at("ours"))
    for (const name of ["theirs", "immich"]) expect(await vectors(at(name))).toEqual(expected)
    await using ours = await openTeacher(at("ours"))
    await using theirs = await openTeacher(at("theirs"), { name: "tiny" })
    expect(theirs.identity).toBe(ours.identity)
  })

  test("in float16", async () => {
    const expected = await vectors(at("ours"))
    const half = await vectors(at("half"), { dtype: "fp16" })
    const scale = Math.max(...expected.images.map(Math.abs))
    expect(worst(half.images, expected.images) / scale).toBeLessThan(5e-3)
    expect(worst(half.images, expected.images)).toBeGreaterThan(0)
  })

  test("with a mask and a free length, as Hugging Face exports it", async () => {
    const directory = variant("free", {})
    writeGraph(
      at("free", "onnx/text_model.onnx"),
      tinyModel(),
      { input_ids: tokens, attention_mask: tokens },
      (feeds) => {
        return { text_embeds: feeds.model.encodeText(feeds.input_ids) }
      },
    )
    const [found, expected] = [await vectors(directory), await vectors(at("ours"))]
    expect(worst(found.texts, expected.texts)).toBeLessThan(1e-5)
  })

  test("in one file with both towers", async () => {
    const directory = variant("single", {})
    for (const tower of ["vision", "text"]) rmSync(at("single", `onnx/${tower}_model.onnx`))
    const inputs = { input_ids: tokens, pixel_values: pixelValues, attention_mask: tokens }
    writeGraph(at("single", "onnx/model.onnx"), tinyModel(), inputs, ({ model, input_ids, pixel_values }) => ({
      text_embeds: model.encodeText(input_ids),
      image_embeds: model.encodeImage(pixel_values),
    }))
    const [found, expected] = [await vectors(directory), await vectors(at("ours"))]
    expect(worst(found.texts, expected.texts)).toBeLessThan(1e-5)
    expect(worst(found.images, expected.images)).toBeLessThan(1e-5)
  })

  test("in graphs of a fixed batch, the last one not full", async () => {
    const directory = variant("fixed", {})
    const two = { ...pixelValues, shape: [2, 3, 64, 64] }
    writeGraph(
      at("fixed", "onnx/vision_model.onnx"),
      tinyModel(),
      { pixel_values: two },
      ({ model, pixel_values }) => ({
        image_embeds: model.encodeImage(pixel_values),
      }),
    )
    const [found, expected] = [await vectors(directory), await vectors(at("ours"))]
    expect(worst(found.images, expected.images)).toBeLessThan(1e-5)
  })

  test("with a text tower that sees its padding", async () => {
    await using teacher = await openTeacher(at("seeing"))
    const together = await teacher.encodeTexts(texts)
    const alone = await teacher.encodeTexts([texts[1]!])
    expect(worst(alone, together.slice(16, 32))).toBeLessThan(1e-6)
  })
})

const pads = (token: string, id: number) => ({
  "tokenizer.json": (json: { padding: object }) => ({ ...json, padding: { ...json.padding, pad_id: id } }),
  "tokenizer_config.json": (json: object) => ({ ...json, pad_token: token }),
})

test("sizes as older files write them", async () => {
  const older = (json: object) => ({ ...json, size: 64, crop_size: 64 })
  expect(await vectors(variant("older", { "preprocessor_config.json": older }))).toEqual(await vectors(at("ours")))
})

test("how a causal tower's tokenizer pads does not matter", async () => {
  expect(await vectors(variant("padded", pads("<end_of_text>", 49407)))).toEqual(await vectors(at("ours")))
})

describe("an error, and no guess", () => {
  const refusal = (directory: string, options = {}) =>
    openTeacher(directory, options).then(
      () => expect.unreachable("this should be refused"),
      (error: Error) => {
        expect(error.name).toBe("UserError")
        return error.message.replaceAll(folder, "")
      },
    )

  const preprocessor = "preprocessor_config.json"
  const change = (fields: object) => (json: object) => ({ ...json, ...fields })
  const size224 = { size: { shortest_edge: 224 }, crop_size: { height: 224, width: 224 } }

  test.each([
    [
      "a size that is not the graph's",
      { [preprocessor]: change(size224) },
      "onnx/vision_model.onnx takes pixels [batch, 3, 64, 64], and the preprocessing gives [N, 3, 224, 224]",
    ],
    [
      "a size that is not the configuration's",
      { "config.json": change({ vision_config: { image_size: 224 } }) },
      "/x: pixels on a side: preprocessor_config.json says 64, config.json says 224",
    ],
    [
      "pictures beyond every tower's",
      { [preprocessor]: change({ size: { shortest_edge: 1e6 }, crop_size: 1e6 }) },
      "/x/preprocessor_config.json: size.shortest_edge: Too big: expected number to be <=2048",
    ],
    [
      "texts beyond every tower's",
      { "config.json": change({ text_config: { max_position_embeddings: 1e9 } }) },
      "/x/config.json: text_config.max_position_embeddings: Too big: expected number to be <=16384",
    ],
    [
      "vectors beyond every tower's",
      { "config.json": change({ projection_dim: 1e9 }) },
      "/x/config.json: projection_dim: Too big: expected number to be <=65536",
    ],
    [
      "a margin around the crop",
      { [preprocessor]: change({ size: { shortest_edge: 72 } }) },
      "/x/preprocessor_config.json: pictures are resized to 72 and cropped to 64 x 64; expected is one size",
    ],
    [
      "another filter",
      { [preprocessor]: change({ resample: 1 }) },
      "/x/preprocessor_config.json: resample: Invalid input",
    ],
    [
      "no mean",
      { [preprocessor]: change({ do_normalize: true, image_mean: undefined }) },
      "/x/preprocessor_config.json: image_mean or image_std is missing",
    ],
    [
      "another width",
      { "config.json": change({ projection_dim: 32 }) },
      "x: width of the embeddings: onnx/vision_model.onnx says 16, onnx/text_model.onnx for texts says 16, its configuration says 32",
    ],
    [
      "another length of texts",
      { "tokenizer_config.json": change({ model_max_length: 64 }) },
      "x: tokens of a text: onnx/text_model.onnx says 77, its files says 64",
    ],
    [
      "a larger vocabulary",
      {
        "tokenizer.json": (json: { added_tokens: object[] }) =>
          change({ added_tokens: [...json.added_tokens, { id: 49408, content: "<pad>" }] })(json),
      },
      "/x: the tokenizer is not CLIP's: it has 49409 tokens, and CLIP's has 49408",
    ],
    [
      "other merges",
      {
        "tokenizer.json": (json: { model: { merges: string[] } }) =>
          change({ model: { ...json.model, merges: json.model.merges.toReversed() } })(json),
      },
      "/x: the tokenizer is not CLIP's: its merges are others",
    ],
    [
      "no byte-pair encoding",
      { "tokenizer.json": change({ model: { type: "Unigram", vocab: [] } }) },
      "/x: the tokenizer is not CLIP's: it holds no byte-pair encoding",
    ],
    [
      "paddings that contradict each other",
      { "tokenizer_config.json": change({ pad_token: "<end_of_text>" }) },
      '/x: tokenizer.json pads with 0, and tokenizer_config.json with 49407 ("<end_of_text>")',
    ],
  ])("%s", async (_, changes, message) => {
    rmSync(at("x"), { recursive: true, force: true })
    expect(await refusal(variant("x", changes as never))).toBe(message)
  })

  test("a tower that sees its padding, padded with something else", async () => {
    expect(await refusal(variant("wrong padding", pads("<end_of_text>", 49407), "seeing"))).toBe(
      "wrong padding: the text tower sees its padding, and the tokenizer pads with 49407",
    )
  })

  test.each([
    ["squashed pictures", { resize_mode: "squash" }, 'resize_mode: Invalid input: expected "shortest"'],
    ["no mean", { mean: undefined }, "mean: Invalid input: expected tuple, received undefined"],
  ])("in Immich's layout: %s", async (_, fields, message) => {
    rmSync(at("x"), { recursive: true, force: true })
    const directory = variant("x", { "visual/preprocess_cfg.json": change(fields) }, "immich")
    expect(await refusal(directory)).toBe(`/x/visual/preprocess_cfg.json: ${message}`)
  })

  test("towers of different widths", async () => {
    const directory = variant("two widths", { "config.json": () => ({}) })
    writeGraph(at("two widths", "onnx/text_model.onnx"), tinyModel(), { input_ids: tokens }, ({ model, input_ids }) => {
      const half = model.encodeText(input_ids).narrow(1, 0, 8)
      return { text_embeds: half }
    })
    expect(await refusal(directory)).toBe(
      "two widths: width of the embeddings: onnx/vision_model.onnx says 16, onnx/text_model.onnx for texts says 8",
    )
  })

  test("towers without their projection", async () => {
    const directory = variant("unprojected", {})
    writeGraph(at("unprojected", "onnx/vision_model.onnx"), tinyModel(), { pixel_values: pixelValues }, (feeds) => ({
      pooler_output: feeds.model.encodeImage(feeds.pixel_values),
    }))
    expect(await refusal(directory)).toBe('onnx/vision_model.onnx has no output "image_embeds", but pooler_output')
  })

  test("a missing file, a missing type, several models of no layout, nothing", async () => {
    const directory = variant("incomplete", {})
    rmSync(at("incomplete", preprocessor))
    expect(await refusal(directory)).toBe("/incomplete/preprocessor_config.json does not exist")
    expect(await refusal(at("theirs"), { dtype: "fp16" })).toMatch(
      /^\/theirs has no onnx\/vision_model_fp16.onnx and onnx\/text_model_fp16.onnx for fp16, but onnx\/text_model.onnx/,
    )
    expect(await refusal(at("ours"), { dtype: "fp16" })).toBe("/ours is in fp32, not fp16")
    mkdirSync(at("loose"))
    for (const name of ["a.onnx", "b.onnx"]) writeFileSync(at("loose", name), "")
    expect(await refusal(at("loose"))).toBe("/loose has a.onnx, b.onnx, and nothing says which of them is which tower")
    mkdirSync(at("empty"))
    expect(await refusal(at("empty"))).toBe("there is no model in /empty: it is empty")
    expect(await refusal(at("absent"))).toBe("there is no model in /absent: it does not exist")
  })
})
