import { expect, test } from "vitest"
import { tinyCoca, tinyCocaConfig, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { bytesAsSource, SafetensorsFile, safetensorsChunks } from "../core/safetensors.ts"
import { checkpointMetadata, checkpointTensors, isCoca, loadAnyCheckpoint } from "./checkpoint.ts"
import { Clip } from "./clip.ts"
import { Coca } from "./coca.ts"
import type { Module } from "./module.ts"

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

test("a CLIP model is none", () => {
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

function file(model: Module, metadata: Record<string, string>): SafetensorsFile {
  const bytes = Buffer.concat([...safetensorsChunks(checkpointTensors(model), metadata)].map((x) => Uint8Array.from(x)))
  return new SafetensorsFile(bytesAsSource("file", bytes))
}
