/** The choice of `--dtype auto` with measurements given, and the comparison itself with models that pass and that do not. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../test/tiny-model.ts"
import { UserError } from "../core/errors.ts"
import { exportModel } from "../export/export.ts"
import { type ChooseOptions, chooseRuntime, lowestCosine } from "./choose-runtime.ts"
import { type Comparison, comparePrecisions } from "./compare-precisions.ts"
import type { ModelSource } from "./model-source.ts"
import { teachersIdentity } from "./teachers.ts"

let folder: string
let checkpoint: ModelSource
let directory: ModelSource
const at = (name: string) => join(folder, name)
const sourceOf = (name: string, kind: ModelSource["kind"]): ModelSource => ({
  ...{ name, kind, path: at(name), variant: null },
})

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "choose-runtime-"))
  writeCheckpoint(at("tiny.safetensors"))
  await exportModel(tinyModel(), tinyInfo, at("half"), { dtype: "fp16" })
  checkpoint = sourceOf("tiny.safetensors", "checkpoint")
  directory = sourceOf("half", "directory")
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true }))

/** As if it had been measured. */
function measured(float32: number, bfloat16: number, cosine = 0.9999): Pick<ChooseOptions, "features" | "compare"> {
  const comparison: Comparison = { cosine, milliseconds: { float32, bfloat16 } }
  return { features: ["avx2", "avx512_bf16"], compare: async () => comparison }
}

const never: ChooseOptions["compare"] = () => Promise.reject(new Error("nothing is to be measured"))

test("auto takes what is faster, says why, and records it", async () => {
  const faster = await chooseRuntime([checkpoint], { dtype: "auto", ...measured(40, 20) })
  expect(faster.record).toEqual({
    ...{ runtime: "libtorch", device: "cpu", dtype: "bf16", chosenBy: "measurement" },
    ...{ cosine: 0.9999, milliseconds: 20 },
  })
  expect(faster.options).toEqual({ runtime: "libtorch", dtype: "bf16" })
  expect(faster.reason).toBe(
    "--dtype auto: bf16 on libtorch, because a picture takes 40.0 ms in float32 and 20.0 ms in bfloat16, cosine 0.99990",
  )
  const slower = await chooseRuntime([checkpoint], { dtype: "auto", threads: 1, ...measured(20, 40) })
  expect(slower.record).toMatchObject({ runtime: "onnxruntime", dtype: "fp32", milliseconds: 20 })
  expect(slower.options).toEqual({ runtime: "onnxruntime", dtype: "fp32", threads: 1 })
})

test("auto leaves a model that bfloat16 changes in float32, however fast it were", async () => {
  const { record, reason } = await chooseRuntime([checkpoint], { dtype: "auto", ...measured(40, 20, 0.998) })
  expect(record).toMatchObject({ runtime: "onnxruntime", dtype: "fp32", cosine: 0.998, milliseconds: 40 })
  expect(reason).toBe(
    "--dtype auto: fp32 on ONNX Runtime, because bfloat16 has a cosine of 0.99800 to float32, and at least 0.999 is asked for",
  )
})

test("auto measures nothing where there is no choice", async () => {
  const choose = async (source: ModelSource, options: Partial<ChooseOptions>) =>
    chooseRuntime([source], { dtype: "auto", features: ["avx512_bf16"], compare: never, ...options })
  const because = async (source: ModelSource, options: Partial<ChooseOptions> = {}) =>
    (await choose(source, options)).reason
  expect(await because(checkpoint, { features: ["avx2"] })).toBe(
    "--dtype auto: fp32 on ONNX Runtime, because this processor has neither avx512_bf16 nor amx_bf16",
  )
  expect(await because(checkpoint, { device: "cuda" })).toMatch(/fp32 on libtorch, .* on the processor only$/)
  expect(await because(checkpoint, { runtime: "onnxruntime" })).toMatch(/fp32 on ONNX Runtime, .* was asked for/)
  expect(await because(directory)).toMatch(/fp16 on ONNX Runtime, because half is a folder of ONNX files/)
  const noLibtorch = { compare: () => Promise.reject(new UserError("the libtorch addon is not built")) }
  expect(await because(checkpoint, noLibtorch)).toBe(
    "--dtype auto: fp32 on ONNX Runtime, because bfloat16 cannot be tried: the libtorch addon is not built",
  )
  expect((await choose(checkpoint, { features: [] })).record.chosenBy).toBe("default")
  const broken = { compare: () => Promise.reject(new Error("a fault of the program")) }
  await expect(choose(checkpoint, broken)).rejects.toThrow("a fault of the program")
})

test("what a user says is done: with a warning where bfloat16 is far from float32", async () => {
  const exact = await chooseRuntime([checkpoint], { dtype: "bf16", ...measured(40, 20) })
  expect(exact).toMatchObject({ reason: null, record: { runtime: "libtorch", dtype: "bf16", chosenBy: "user" } })
  const far = await chooseRuntime([checkpoint], { dtype: "bf16", ...measured(40, 20, 0.9) })
  expect(far.record).toMatchObject({ dtype: "bf16", chosenBy: "user", cosine: 0.9, milliseconds: 20 })
  expect(far.reason).toBe(
    "warning: bfloat16 gives vectors whose cosine to float32 is only 0.90000 (at least 0.999 is expected); --dtype fp32 is exact",
  )
  const plain = await chooseRuntime([directory], { compare: never })
  expect(plain.record).toEqual({
    ...{ runtime: "onnxruntime", device: "cpu", dtype: "fp16", chosenBy: "default" },
    ...{ cosine: null, milliseconds: null },
  })
  await expect(chooseRuntime([directory], { dtype: "bf16", compare: never })).rejects.toThrow(
    "half is a folder of ONNX files, which libtorch does not run: bf16 is a type of libtorch's",
  )
  await expect(chooseRuntime([checkpoint], { dtype: "bf16", runtime: "onnxruntime", compare: never })).rejects.toThrow(
    "bf16 is a type of libtorch's",
  )
})

// libtorch for both, so that nothing is exported.
const onLibtorch = { runtime: "libtorch", threads: 1 } as const

test("the same small model in both types is above the gate, and takes a time", async () => {
  const { cosine, milliseconds } = await comparePrecisions([checkpoint, checkpoint], onLibtorch)
  expect(cosine).toBeGreaterThan(lowestCosine)
  // Eight bits round: equal vectors would mean that nothing was computed in bfloat16.
  expect(cosine).toBeLessThan(1 - 1e-7)
  expect(milliseconds.float32).toBeGreaterThan(0)
  expect(milliseconds.bfloat16).toBeGreaterThan(0)
})

test("a model that eight bits cannot hold is below the gate, and stays in float32", async () => {
  writeCheckpoint(at("far.safetensors"), cancelling())
  const far = sourceOf("far.safetensors", "checkpoint")
  const { cosine } = await comparePrecisions([far], onLibtorch)
  expect(cosine).toBeLessThan(lowestCosine)
  const { record } = await chooseRuntime([far], { dtype: "auto", ...onLibtorch, features: ["avx512_bf16"] })
  expect(record).toMatchObject({ runtime: "libtorch", dtype: "fp32", chosenBy: "measurement", cosine })
})

/**
 * Texts come to the first norm with a large value in common, which it takes away again: what is left are differences of
 * one in 10,000, and bfloat16 rounds to one in 256.
 */
function cancelling() {
  const model = tinyModel()
  for (const [path, parameter] of model.text.namedParameters()) {
    if (path !== "positionalEmbedding") continue
    const values = parameter.read().map((value) => 1e4 + value)
    parameter.source = () => values
  }
  return model
}

test("an identity says the type, so that vectors of different types are never mixed", async () => {
  const identities = await Promise.all(
    (["fp32", "bf16"] as const).map((dtype) => teachersIdentity([checkpoint], { runtime: "libtorch", dtype })),
  )
  expect(identities[1]).toBe(`${identities[0]} bf16`)
})
