import { expect, test } from "vitest"
import { tinyCoca, tinyCocaConfig, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { bytesAsSource, SafetensorsFile, safetensorsChunks } from "../../core/containers/safetensors.ts"
import { UserError } from "../../core/errors.ts"
import { captioners, type FastViTConfig, type ModelConfig, variants } from "../../core/family/variants.ts"
import { Clip } from "../clip.ts"
import { Coca } from "../coca.ts"
import type { Module } from "../module.ts"
import { reparameterize } from "../reparameterize.ts"
import { checkConfig } from "./check-config.ts"
import { buildModel, checkpointMetadata, checkpointTensors, isCoca, loadAnyCheckpoint } from "./checkpoint.ts"

const cocaInfo = { ...tinyCocaInfo, config: tinyCocaConfig }

test("a captioner comes back with its configuration and its values", () => {
  const saved = tinyCoca()
  const { info, model } = loadAnyCheckpoint(file(saved, checkpointMetadata(cocaInfo)), "captioner.safetensors")
  expect(info).toEqual(cocaInfo)
  expect(model).toBeInstanceOf(Coca)
  const loaded = model.namedParameters()
  expect([...loaded.keys()]).toEqual([...saved.namedParameters().keys()])
  for (const path of ["decoder.projection", "image.pooler.query", "text.classToken", "logitScale"]) {
    expect(loaded.get(path)!.read().slice(0, 99), path).toEqual(saved.namedParameters().get(path)!.read().slice(0, 99))
  }
})

test("a CLIP model is not a captioner", () => {
  const clip = file(tinyModel(), checkpointMetadata(tinyInfo))
  const { info, model } = loadAnyCheckpoint(clip, "clip.safetensors")
  expect(model).toBeInstanceOf(Clip)
  expect(isCoca(info.config)).toBe(false)
  expect(info).toEqual(tinyInfo)
})

test("a damaged configuration is named", () => {
  const { pooler, ...incomplete } = cocaInfo.config
  const metadata = { ...checkpointMetadata(cocaInfo), info: JSON.stringify({ ...cocaInfo, config: incomplete }) }
  expect(pooler.queries).toBe(8)
  expect(() => loadAnyCheckpoint(file(tinyCoca(), metadata), "damaged")).toThrow(/damaged at "config/)
})

type Fields = Readonly<Record<string, unknown>>

/** A file of one tensor and this configuration. */
function claiming(info: Fields): SafetensorsFile {
  const metadata = { ...checkpointMetadata(tinyInfo), info: JSON.stringify(info) }
  const one = { name: "logitScale", dtype: "F32", shape: [], read: () => Float32Array.of(1) } as const
  const bytes = Buffer.concat([...safetensorsChunks([one], metadata)])
  expect(bytes.length).toBeLessThan(1200)
  return new SafetensorsFile(bytesAsSource("file", Uint8Array.from(bytes)))
}

const clip = tinyInfo.config
const vit = { kind: "vit", width: 64, layers: 1, heads: 2, patchSize: 8, activation: "gelu" }
const [stage] = (clip.image as FastViTConfig).stages
const stages = (fields: Fields) => ({ ...clip, image: { ...clip.image, stages: [{ ...stage, ...fields }] } })

test.each<[string, Fields, string]>([
  ["layers of the text tower", { ...clip, text: { ...clip.text, layers: 1e9 } }, "has 1000000002 blocks, and the file 1 tensors"],
  ["layers of a ViT", { ...clip, image: { ...vit, layers: 1e9 } }, "has 1000000001 blocks"],
  ["a stage's depth", stages({ depth: 1e9 }), "has 1000000001 blocks"],
  ["blocks that the file could just have", clip as unknown as Fields, "has 3 blocks, and the file 1 tensors"],
  ["layers of a decoder", { ...tinyCocaConfig, decoder: { layers: 1e9, heads: 2 } }, "blocks, and the file 1 tensors"],
  ["pixels", { ...clip, imageSize: 1e9 }, 'damaged at "config'],
])("%s do not make it build what the file has no tensors for", (_, config, message) => {
  const begin = process.cpuUsage()
  expect(() => loadAnyCheckpoint(claiming({ ...tinyInfo, config }), "file")).toThrow(UserError)
  expect(() => loadAnyCheckpoint(claiming({ ...tinyInfo, config }), "file")).toThrow(message)
  expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(1)
}) // biome-ignore format: a table

test("a preprocessing of more pixels than any tower takes is refused", () => {
  const preprocessing = { ...tinyInfo.preprocessing, size: 100_000 }
  expect(() => loadAnyCheckpoint(claiming({ ...tinyInfo, preprocessing }), "file")).toThrow('at "preprocessing.size"')
})

test.each<[string, Fields, string]>([
  ["heads that do not divide the width", { ...clip, text: { ...clip.text, heads: 1e9 } }, "1000000000 heads for a width of 16"],
  ["a text of a million tokens", { ...clip, text: { ...clip.text, contextLength: 1e6 } }, "attention over 1000000 tokens"],
  ["patches of a pixel", { ...clip, image: { ...vit, patchSize: 1 }, imageSize: 2048 }, "attention over 4194305 tokens"],
  ["attention in the first stage", { ...stages({ mixer: "attention" }), imageSize: 2048 }, "attention over 262144 tokens"],
  ["a pooler's queries", { ...tinyCocaConfig, pooler: { queries: 1e6, heads: 2 } }, "attention over 1000000 tokens"],
])("%s are refused", (_, config, message) => {
  const check = () => checkConfig(config as unknown as ModelConfig, 1000, "file")
  expect(check).toThrow(UserError)
  expect(check).toThrow(`file: its configuration has ${message}`)
}) // biome-ignore format: a table

test("every model of the family is one that a file of its tensors can hold", () => {
  for (const { model } of [...Object.values(variants), ...Object.values(captioners)] as { model: ModelConfig }[]) {
    const built = reparameterize(buildModel(model))
    checkConfig(model, built.namedParameters().size, "file")
  }
})

function file(model: Module, metadata: Record<string, string>): SafetensorsFile {
  const bytes = Buffer.concat([...safetensorsChunks(checkpointTensors(model), metadata)].map((x) => Uint8Array.from(x)))
  return new SafetensorsFile(bytesAsSource("file", bytes))
}
