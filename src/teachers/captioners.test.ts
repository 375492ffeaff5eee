/** A captioner for data generation: the papers' options, seeds by key, either runtime. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { tinyCoca, tinyCocaInfo, tinyFastViTCoca } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { Random } from "../core/arrays/random.ts"
import { safetensorsChunks } from "../core/containers/safetensors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { exportModel } from "../export/export.ts"
import { writeAtomically } from "../host/files/files.ts"
import { checkpointMetadata, checkpointTensors } from "../model/checkpoint/checkpoint.ts"
import { type CaptionerOptions, openCaptioner } from "./captioners.ts"
import type { ModelSource } from "./model-source.ts"

let folder: string
const source = (name: string): ModelSource => ({ name, kind: "directory", path: join(folder, name), variant: null })
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "captioners-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
  await exportModel(tinyCoca(), tinyCocaInfo, join(folder, "coca"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "clip"))
}, 60_000)
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const images = [1, 2].map((seed): Image8 => {
  const random = Random.of(seed, "picture")
  return { width: 40, height: 36, channels: 3, data: Uint8Array.from({ length: 40 * 36 * 3 }, () => random.int(256)) }
})
const papers: CaptionerOptions["generation"] = {
  ...{ generationType: "top_p", topP: 0.9, seqLen: 30, fixedOutputLength: true },
  ...{ perImage: 5, seed: 0, whole: false },
}
const short = { ...papers, seqLen: 8 }

async function captions(keys: readonly string[], generation: Partial<CaptionerOptions["generation"]>, shown = images) {
  await using captioner = await openCaptioner(source("coca"), { generation: { ...short, ...generation } })
  return await captioner.caption(shown, keys)
}

test("five of each image, which depend on its key and the seed, not on the batch", async () => {
  const together = await captions(["a", "b"], {})
  expect(together.map((texts) => texts.length)).toEqual([5, 5])
  expect(await captions(["b"], {}, [images[1]!])).toEqual([together[1]])
  expect(await captions(["b", "a"], {}, images.toReversed())).toEqual(together.toReversed())
  expect(await captions(["a", "b"], { seed: 1 })).not.toEqual(together)
  expect(await captions(["a", "c"], {})).toEqual([together[0], expect.not.arrayContaining(together[1]!)])
})

test("its identity says how captions are drawn", async () => {
  await using captioner = await openCaptioner(source("coca"), { generation: papers })
  expect(captioner.name).toBe("tiny captioner")
  expect(captioner.identity).toMatch(/^coca onnx\/vision_model\.onnx=sha256:[0-9a-f]{64} .* 32px bicubic mean=0\.5/)
  expect(JSON.parse(captioner.identity.slice(captioner.identity.indexOf("{")))).toMatchObject({
    ...{ generationType: "top_p", topP: 0.9, fixedOutputLength: true, seqLen: 30, temperature: 1 },
    ...{ perImage: 5, seed: 0, whole: false },
  })
})

test("a checkpoint of ours writes the same captions on either runtime", async () => {
  const path = join(folder, "trained.safetensors")
  const model = tinyFastViTCoca()
  const info = { ...tinyCocaInfo, name: "trained", config: model.config }
  await writeAtomically(path, safetensorsChunks(checkpointTensors(model), checkpointMetadata(info)))
  const written = await Promise.all(
    (["libtorch", "onnxruntime"] as const).map(async (runtime) => {
      const options = { runtime, generation: short }
      await using captioner = await openCaptioner({ name: "trained", kind: "checkpoint", path, variant: null }, options)
      return await captioner.caption(images, ["a", "b"])
    }),
  )
  expect(written[0]).toEqual(written[1])
  expect(new Set(written[0]!.flat()).size).toBe(10)
})

test("what is not a captioner, and options out of range, are refused", async () => {
  await expect(openCaptioner(source("clip"), { generation: papers })).rejects.toThrow(
    "is not a captioner: it has no decoder",
  )
  await expect(openCaptioner(source("coca"), { generation: { ...papers, topP: 2 } })).rejects.toThrow("topP is 2")
  await expect(openCaptioner(source("coca"), { generation: papers, dtype: "fp16" })).rejects.toThrow(
    "is in fp32, not fp16",
  )
  await expect(openCaptioner(source("coca"), { generation: papers, runtime: "libtorch" })).rejects.toThrow(
    "which libtorch does not run",
  )
})
