import { expect, test } from "vitest"
import { UserError } from "../errors.ts"
import { manifestFormat, parseManifest } from "./manifest.ts"

const preprocessing = { size: 256, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] }
const decoder = { cacheWidth: 36_864, memoryWidth: 768, vocabSize: 49_408, contextLength: 76 }
const manifest = {
  format: manifestFormat,
  name: "x",
  license: "mit",
  samplesSeen: 0,
  embedDim: 512,
  contextLength: 77,
  logitScale: 100,
  decoder,
  preprocessing,
  config: {},
  parameters: { image: 1, text: 1, decoder: 1 },
  source: null,
  files: {},
  verification: { reference: "r", runtime: "r", tolerance: 1, imageError: 0 },
}

test("a manifest of a captioner's sizes is read", () => {
  expect(parseManifest(manifest, "mobileclip.json")).toMatchObject({ embedDim: 512, contextLength: 77, decoder })
})

test.each<[string, object]>([
  ["embedDim", { embedDim: 1e9 }],
  ["contextLength", { contextLength: 1e9 }],
  ["preprocessing.size", { preprocessing: { ...preprocessing, size: 100_000 } }],
  ["decoder.cacheWidth", { decoder: { ...decoder, cacheWidth: 1e9 } }],
  ["decoder.memoryWidth", { decoder: { ...decoder, memoryWidth: 1e9 } }],
  ["decoder.vocabSize", { decoder: { ...decoder, vocabSize: 1e9 } }],
  ["decoder.contextLength", { decoder: { ...decoder, contextLength: 1e9 } }],
])("%s beyond every model's is refused: buffers of that size would be allocated", (path, fields) => {
  const read = () => parseManifest({ ...manifest, ...fields }, "mobileclip.json")
  expect(read).toThrow(UserError)
  expect(read).toThrow(`"${manifestFormat}": ${path}: Too big`)
})

test("a name in the manifest stays in the line that refuses it", () => {
  const read = () => parseManifest({ ...manifest, files: { "a\n\u001b[2J": {} } }, "mobileclip.json")
  expect(read).toThrow('"mobileclip-model-1": files.a\\n\\x1b[2J')
})
