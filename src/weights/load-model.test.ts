/** The library opens what the commands open: folders, runs, files of weights and names in the cache. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../test/tiny-coca.ts"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../test/tiny-model.ts"
import { UserError } from "../core/errors.ts"
import { exportModel } from "../export/export.ts"
import { loadCaptioner, loadModel } from "../index.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "load-model-"))
  const env = { XDG_CACHE_HOME: at("cache"), HF_HOME: at("hf"), HF_HUB_CACHE: "", HF_ENDPOINT: "http://127.0.0.1:9" }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  for (const name of ["run", "coca"]) mkdirSync(at(name))
  writeCheckpoint(at("run", "model.safetensors"))
  writeCheckpoint(at("coca", "model.safetensors"), tinyCoca(), { ...tinyCocaInfo, config: tinyCoca().config })
  await exportModel(tinyModel(), tinyInfo, at("folder"))
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test("a run's folder and its file of weights are exported once, and compute what the exported folder does", async () => {
  const stages: string[] = []
  const vectors = async (name: string) => {
    await using model = await loadModel(at(name), { threads: 1, onStage: (text) => stages.push(text) })
    return [...(await model.encodeTexts(["a cat", "two dogs"]))]
  }
  const exported = await vectors("folder")
  expect(exported).toHaveLength(32)
  expect(stages).toEqual([])
  expect(await vectors("run")).toEqual(exported)
  expect(await vectors("run/model.safetensors")).toEqual(exported)
  expect(stages).toEqual([expect.stringMatching(/^run: exporting for ONNX Runtime, to /)])
  expect(readdirSync(at("cache", "mobileclip", "exported"))).toHaveLength(1)
})

test("a run of a captioner captions, and a run of another model does not", async () => {
  await using captioner = await loadCaptioner(at("coca"), { threads: 1 })
  const image = { width: 2, height: 2, channels: 3, data: new Uint8Array(12) } as const
  expect(await captioner.caption([image], { seqLen: 8 })).toEqual([[expect.any(String)]])
  await expect(loadCaptioner(at("run"))).rejects.toThrow(/is not a captioner: it has no decoder$/)
})

test("what is not here is told with both readings of it, and nothing is downloaded", async () => {
  await expect(loadModel("models/s0")).rejects.toThrow(
    "models/s0 is neither a file or folder here (there is no folder models) nor a repository in the cache",
  )
  const error: unknown = await loadModel("MobileCLIP2-S0").catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect(error).toMatchObject({
    message: "MobileCLIP2-S0 is not on this machine",
    hint: expect.stringMatching(/^`mobileclip pull MobileCLIP2-S0` brings it into the cache; /),
  })
  await expect(loadModel(at("gone"))).rejects.toThrow(`${at("gone")} does not exist`)
})
