import { expect, test } from "vitest"
import { UserError } from "../core/errors.ts"
import { variants } from "../core/variants.ts"
import { Clip } from "./clip.ts"
import { loadStateDict, type StateDict } from "./state-dict.ts"
import { publishedTensors } from "./weights.ts"

const s0 = () => new Clip(variants["mobileclip-s0"].model)

function stateDictOf(model: Clip): Map<string, readonly number[]> {
  return new Map([...publishedTensors(model, "apple").values()].map(({ key, shape }) => [key, shape]))
}

function load(shapes: ReadonlyMap<string, readonly number[]>): void {
  const stateDict: StateDict = {
    keys: shapes.keys(),
    shape: (key) => shapes.get(key)!,
    read: (key) => new Float32Array(shapes.get(key)!.reduce((size, dim) => size * dim, 1)),
  }
  loadStateDict(s0(), stateDict, "apple", "s0.pt")
}

test("a complete file loads; a missing, extra or misshapen tensor is named with what is near it", () => {
  const key = "text_encoder.transformer.1.pre_norm_mha.1.qkv_proj.weight"
  const complete = stateDictOf(s0())
  load(complete)
  const missing = new Map(complete)
  missing.delete(key)
  expect(() => load(missing)).toThrow(`s0.pt: tensor "${key}" is missing`)
  expect(() => load(new Map(complete).set("extra.weight", [1]))).toThrow('tensor "extra.weight" does not belong')
  expect(() => load(new Map(complete).set(key, [3, 3]))).toThrow("has shape [3,3], expected [1536,512]")
  expect(() => load(missing)).toThrow(UserError)
})

test("what a flavour cannot say is an error, not an invented name", () => {
  expect(() => publishedTensors(s0(), "openclip")).toThrow("no published name in the openclip flavour")
  const { model } = variants["mobileclip2-s0"]
  expect(() => publishedTensors(new Clip(model), "apple")).toThrow('"image.head.bias" has no published name')
})
