import { expect, test, vi } from "vitest"
import { UserError } from "../../core/errors.ts"
import { variants } from "../../core/family/variants.ts"
import { Clip } from "../clip.ts"
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
  expect(() => load(new Map(complete).set("a\n\u001b[2J", [1]))).toThrow('tensor "a\\n\\u001b[2J" does not belong')
  expect(() => load(new Map(complete).set(key, [3, 3]))).toThrow("has shape [3,3], expected [1536,512]")
  expect(() => load(missing)).toThrow(UserError)
})

test("a table of positions is interpolated only where it is one", () => {
  const key = "image_encoder.model.pos_embed.pos_embed.pos_embed"
  const b = () => new Clip(variants["mobileclip-b"].model)
  const shapes = new Map([...publishedTensors(b(), "apple").values()].map(({ key, shape }) => [key, shape]))
  const loading = (shape: readonly number[]) => () => {
    const changed = new Map(shapes).set(key, shape)
    const read = (name: string) => new Float32Array(changed.get(name)!.reduce((size, dim) => size * dim, 1))
    loadStateDict(b(), { keys: changed.keys(), shape: (name) => changed.get(name)!, read }, "apple", "b.pt")
  }
  loading([1, 1, 257, 768])()
  for (const shape of [[1, 1, 0, 768], [4, 1, 257, 768], [257, 768]]) expect(loading(shape)).toThrow(`"${key}" has shape [${shape}]`) // biome-ignore format: a line
})

test("each of 20,000 names is taken apart once to find the nearest", () => {
  const names = new Map(Array.from({ length: 20_000 }, (_, i) => [`text_encoder.x.${i}`, [1]]))
  const split = vi.spyOn(String.prototype, "split")
  expect(() => load(names)).toThrow("is missing")
  const count = split.mock.calls.length
  split.mockRestore()
  expect(count).toBeLessThan(30_000)
})

test("what a flavour cannot say is an error, not an invented name", () => {
  expect(() => publishedTensors(s0(), "openclip")).toThrow("no published name in the openclip flavour")
  const { model } = variants["mobileclip2-s0"]
  expect(() => publishedTensors(new Clip(model), "apple")).toThrow('"image.head.bias" has no published name')
})
