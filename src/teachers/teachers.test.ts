/** From what a user writes to vectors: folders, checkpoints and repositories, on either runtime. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { HubServer, sha256Of } from "../../test/hub-server.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { safetensorsChunks } from "../core/containers/safetensors.ts"
import { ensembleIdentity } from "../core/inference/teacher-identity.ts"
import { exportModel } from "../export/export.ts"
import { writeAtomically } from "../host/files/files.ts"
import { pull } from "../hub/pull.ts"
import { checkpointMetadata, checkpointTensors } from "../model/checkpoint/checkpoint.ts"
import { type ModelSource, resolveModels } from "./model-source.ts"
import type { RuntimeOptions } from "./runtime.ts"
import { openTeachers, teachersIdentity } from "./teachers.ts"

const commit = "0123456789abcdef0123456789abcdef01234567"
const repo = "Somebody/tiny-clip"

let folder: string
let hub: HubServer
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ensemble-"))
  vi.stubEnv("XDG_CACHE_HOME", at("cache"))
  const model = tinyModel()
  await exportModel(model, tinyInfo, at("ours"))
  await writeAtomically(
    at("tiny.safetensors"),
    safetensorsChunks(checkpointTensors(model), checkpointMetadata(tinyInfo)),
  )
  cpSync(at("ours"), at("theirs"), { recursive: true })
  rmSync(at("theirs", "mobileclip.json"))
  hub = await HubServer.start({
    [repo]: { commit, files: { ...filesOf(at("theirs")), "model.safetensors": readFileSync(at("tiny.safetensors")) } },
    "Somebody/ours": { commit, files: filesOf(at("ours")) },
  })
}, 60_000)
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function filesOf(directory: string): Record<string, Buffer> {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" })
  const files = names.filter((name) => statSync(join(directory, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name))]))
}

const resolveOptions = (env: Record<string, string> = {}) => ({
  pull: (source: string, options: object) =>
    pull(source, { ...options, retryDelays: [], env: { HF_ENDPOINT: hub.endpoint, HF_HOME: at("hub"), ...env } }),
})

async function vectors(sources: readonly ModelSource[], options: RuntimeOptions = {}) {
  const all = { threads: 1, ...options }
  const teachers = await openTeachers(sources, all)
  const results: { identity: string; images: Float32Array; texts: Float32Array }[] = []
  for (const teacher of teachers) {
    const images = await teacher.encodePixels(inputImage(64, 2), 2)
    results.push({ identity: teacher.identity, images, texts: await teacher.encodeTexts(["a cat", "two dogs"]) })
    await teacher[Symbol.asyncDispose]()
  }
  const identity = ensembleIdentity(teachers)
  // Files tell the same as the opened models.
  expect(await teachersIdentity(sources, all)).toBe(identity)
  return { results, identity }
}

function worst(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length)
  return found.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0)
}

test("an ensemble keeps its order, and may have a member twice", async () => {
  const names = [at("ours"), at("tiny.safetensors"), at("ours")].join(",")
  const sources = await resolveModels(names, "N/A,,none")
  expect(sources.map(({ name, kind }) => [name, kind])).toEqual([
    ["ours", "directory"],
    ["tiny.safetensors", "checkpoint"],
    ["ours", "directory"],
  ])
  const { results, identity } = await vectors(sources)
  expect(results[2]).toEqual(results[0])
  expect(identity).toBe(results.map((result) => result.identity).join(" + "))
  // The checkpoint was exported to the same towers.
  expect(results[1]!.texts).toEqual(results[0]!.texts)
  expect(readdirSync(at("cache", "mobileclip", "exported"))).toEqual([
    `tiny-fp32-${sha256Of(readFileSync(at("tiny.safetensors"))).slice(0, 16)}`,
  ])
})

test("a folder is its weights, unless there are ONNX towers without open_clip's weights beside", async () => {
  const resolved = async (folder: string, ...files: string[]) => {
    mkdirSync(at(folder, "onnx"), { recursive: true })
    for (const file of files) writeFileSync(at(folder, file), "")
    const [{ kind, path } = expect.fail()] = await resolveModels(at(folder), undefined)
    return [kind, relative(at(folder), path)]
  }
  expect(await resolved("apple", "mobileclip_s0.pt", "config.json")).toEqual(["checkpoint", "mobileclip_s0.pt"])
  expect(await resolved("xenova", "onnx/vision_model.onnx", "model.safetensors")).toEqual(["directory", ""])
  expect(await resolved("both", "onnx/vision_model.onnx", "open_clip_pytorch_model.bin")).toEqual([
    "checkpoint",
    "open_clip_pytorch_model.bin",
  ])
})

test("a checkpoint on libtorch is the same teacher", async () => {
  const sources = await resolveModels(at("tiny.safetensors"), undefined)
  const onnx = (await vectors(sources, { runtime: "onnxruntime" })).results[0]!
  const libtorch = (await vectors(sources, { runtime: "libtorch" })).results[0]!
  expect(worst(libtorch.images, onnx.images)).toBeLessThan(1e-4)
  expect(worst(libtorch.texts, onnx.texts)).toBeLessThan(1e-4)
  const hash = sha256Of(readFileSync(at("tiny.safetensors")))
  expect(libtorch.identity).toMatch(new RegExp(`^tiny.safetensors tiny.safetensors=sha256:${hash} 64px`))
})

test("a repository with ONNX towers: what they need is pulled, and the cache serves them without a network", async () => {
  const [source] = await resolveModels(repo, undefined, resolveOptions())
  expect(source).toMatchObject({ name: `${repo}@${commit.slice(0, 12)}`, kind: "directory" })
  const files = readdirSync(source!.path, { recursive: true, encoding: "utf8" }).sort()
  expect(files).toEqual([
    "config.json",
    "onnx",
    "onnx/text_model.onnx",
    "onnx/vision_model.onnx",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ])
  const local = await vectors([{ name: source!.name, kind: "directory", path: at("theirs"), variant: null }])
  expect(await vectors([source!])).toEqual(local)
  const requests = hub.log.length
  const offline = await resolveModels(`hf-hub:${repo}`, "N/A", resolveOptions({ HF_HUB_OFFLINE: "1" }))
  expect(offline).toEqual([source])
  expect(hub.log.length).toBe(requests)
  await expect(
    resolveModels(repo, undefined, { ...resolveOptions({ HF_HUB_OFFLINE: "1" }), dtype: "fp16" }),
  ).rejects.toThrow("is not in")
})

test("the same repository's checkpoint where libtorch is to run it, and a repository of our own layout", async () => {
  const [checkpoint] = await resolveModels(repo, undefined, { ...resolveOptions(), wantsCheckpoint: true })
  expect(checkpoint).toMatchObject({ kind: "checkpoint", path: expect.stringMatching(/model\.safetensors$/) })
  const [ours] = await resolveModels("Somebody/ours", undefined, resolveOptions())
  const { results } = await vectors([ours!])
  expect(results[0]!.identity).toMatch(/^Somebody\/ours@0123456789ab onnx\/vision_model.onnx=sha256:/)
})

test("what cannot be meant is refused", async () => {
  const refusal = (names: string, tags?: string, options: RuntimeOptions = {}) =>
    resolveModels(names, tags, resolveOptions())
      .then((sources) => vectors(sources, options))
      .then(
        () => expect.unreachable("this should be refused"),
        (error: Error) => error.message.replaceAll(folder, ""),
      )
  expect(await refusal("a,b", "N/A")).toBe("--model-name has 2 names and --pretrained 1")
  expect(await refusal("a,,b")).toBe('--model-name "a,,b": name 2 is empty')
  expect(await refusal(at("ours"), "openai")).toBe("/ours has its own weights, and --pretrained says openai")
  expect(await refusal("ViT-L-14-quickgelu", "datacomp_xl_s13b_b90k")).toMatch(/trained with GELU/)
  expect(await refusal("ViT-L-15")).toMatch(/^"ViT-L-15" is not a known model/)
  expect(await refusal(at("ours"), undefined, { runtime: "libtorch" })).toBe(
    "ours is a folder of ONNX files, which libtorch does not run",
  )
  expect(await refusal(at("ours"), undefined, { dtype: "bf16" })).toBe(
    "ours is a folder of ONNX files, which libtorch does not run: bf16 is a type of libtorch's",
  )
  expect(await refusal(at("ours"), undefined, { dtype: "bf16", runtime: "onnxruntime" })).toBe(
    "bf16 is a type of libtorch's",
  )
  expect(await refusal(at("tiny.safetensors"), undefined, { device: "cuda" })).toBe(
    'this libtorch has no device "cuda"',
  )
})

test.each(["../../outside", "/tmp/outside", "..\\outside"])(
  "a checkpoint that calls itself %j is not exported anywhere",
  async (name) => {
    await writeAtomically(
      at("renamed.safetensors"),
      safetensorsChunks(checkpointTensors(tinyModel()), checkpointMetadata({ ...tinyInfo, name })),
    )
    const before = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()
    const sources = await resolveModels(at("renamed.safetensors"), undefined)
    await expect(vectors(sources)).rejects.toThrow(/^renamed\.safetensors names .*outside.*, which is not a file name$/)
    expect(readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()).toEqual(before)
  },
)
