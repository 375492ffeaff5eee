import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"
import { HubServer } from "../../test/hub-server.ts"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../test/tiny-model.ts"
import { UserError } from "../core/errors.ts"
import { exportModel } from "../export/export.ts"
import { pull } from "../hub/pull.ts"
import { type FindOptions, findModelFiles } from "./find-model.ts"
import { modelDirectory } from "./model-directory.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const commit = "0123456789abcdef0123456789abcdef01234567"

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "find-model-"))
  for (const name of ["run/checkpoints", "begun/checkpoints", "pair", "notes"]) mkdirSync(at(name), { recursive: true })
  writeCheckpoint(at("run", "model.safetensors"))
  for (const step of [100, 200]) writeFileSync(at("begun", "checkpoints", `step-00000${step}.safetensors`), "")
  for (const name of ["a.pt", "b.pt"]) writeFileSync(at("pair", name), "")
  writeFileSync(at("notes", "x.txt"), "")
  const source = { file: "model.safetensors", sha256: "0" }
  await exportModel(tinyModel(), tinyInfo, at("run", "model"), { source })
  mkdirSync(at("quick"))
  await exportModel(tinyModel(), tinyInfo, at("quick", "model"))
  await exportModel(tinyModel(), tinyInfo, at("theirs"))
  rmSync(at("theirs", "mobileclip.json"))
})
afterEach(() => vi.unstubAllEnvs())
afterAll(() => rmSync(folder, { recursive: true }))

/** What is found, by kind and path; or what is said. */
async function found(name: string, options: FindOptions = {}): Promise<string> {
  try {
    const { kind, path } = await findModelFiles(name, { pull: null, ...options })
    return `${kind} ${relative(folder, path)}`
  } catch (error) {
    const { message, hint } = error as Error & { hint: string }
    return `${message} | ${hint}`.replaceAll(`${folder}/`, "")
  }
}

test("folders and files: towers where they are wanted, weights where those are", async () => {
  const table: Record<string, [towers: string, weights: string]> = {
    run: ["checkpoint run/model.safetensors", "checkpoint run/model.safetensors"],
    "run/model.safetensors": ["checkpoint run/model.safetensors", "checkpoint run/model.safetensors"],
    "run/model": [
      "directory run/model",
      "run/model is an exported model, and weights were expected: it cannot be trained or converted | name the checkpoint that it was made from: run/model.safetensors",
    ],
    quick: [
      "directory quick/model",
      "quick/model is an exported model, and weights were expected: it cannot be trained or converted | name the checkpoint that it was made from",
    ],
    theirs: [
      "directory theirs",
      "theirs is an exported model, and weights were expected: it cannot be trained or converted | name the checkpoint that it was made from",
    ],
  }
  for (const [name, [towers, weights]] of Object.entries(table)) {
    expect(await found(at(name)), name).toBe(towers)
    expect(await found(`local-dir:${at(name)}`), name).toBe(towers)
    expect(await found(at(name), { wantsWeights: true }), name).toBe(weights)
  }
})

test("an exported model names the checkpoint it was made from, elsewhere in its run too", async () => {
  for (const name of ["plain-0", "reinforced-0"]) mkdirSync(at("loop", "students", name), { recursive: true })
  writeFileSync(at("loop", "students", "plain-0", "model.safetensors"), "another")
  writeFileSync(at("loop", "students", "reinforced-0", "model.safetensors"), "its own")
  const sha256 = createHash("sha256").update("its own").digest("hex")
  await exportModel(tinyModel(), tinyInfo, at("loop", "model"), { source: { file: "model.safetensors", sha256 } })
  for (const name of ["loop", "loop/model"]) {
    expect(await found(at(name), { wantsWeights: true })).toMatch(
      /made from: loop\/students\/reinforced-0\/model\.safetensors$/,
    )
  }
})

test("what is none of these is told with what it is and what may be given", async () => {
  const begun = "the run in begun has no model yet: it has not ended | go on with it, or name its last checkpoint: "
  for (const wantsWeights of [true, false]) {
    expect(await found(at("begun"), { wantsWeights })).toBe(`${begun}begun/checkpoints/step-00000200.safetensors`)
    expect(await found(at("pair"), { wantsWeights })).toMatch(/^pair holds several files of weights: a\.pt, b\.pt/)
    expect(await found(at("gone"), { wantsWeights })).toMatch(
      /^gone does not exist \| check the path; a model is a folder/,
    )
    expect(await found("MobilCLIP2-S0", { wantsWeights })).toMatch(
      /^"MobilCLIP2-S0" is not a known model.*MobileCLIP2-S0/,
    )
    for (const part of ["onnx/vision_model.onnx", "mobileclip.json"])
      expect(await found(at("run", "model", part), { wantsWeights })).toBe(
        `run/model/${part} is a part of a model | name the folder that it is in: run/model`,
      )
  }
  expect(await found(at("notes"), { wantsWeights: true })).toMatch(
    /^notes holds no weights: it has x\.txt \| a model is a folder/,
  )
})

test("a released name: what is in the cache is used, and what is not is not downloaded where that was not asked for", async () => {
  await using hub = await HubServer.start({
    "apple/MobileCLIP2-S0": {
      commit,
      tags: ["license:apple-amlr"],
      files: { "mobileclip2_s0.pt": readFileSync(at("run", "model.safetensors")) },
    },
  })
  const env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: at("hf"),
    XDG_CACHE_HOME: at("cache"),
    HF_TOKEN: "",
    HF_HUB_CACHE: "",
  }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  expect(await found("MobileCLIP2-S0")).toBe(
    "MobileCLIP2-S0 is not on this machine | `mobileclip pull MobileCLIP2-S0` brings it into the cache; `mobileclip convert MobileCLIP2-S0 --out models/NAME` makes a folder of it, which can be named too",
  )
  expect(hub.log).toEqual([])
  expect(await found("MobileCLIP2-S0", { pull, wantsWeights: true })).toMatch(/^checkpoint hf\/.*mobileclip2_s0\.pt$/)
  const requests = hub.log.length
  expect(await found("mobileclip2_s0")).toMatch(/^checkpoint hf\/.*mobileclip2_s0\.pt$/)
  const own = async (given: string) => Promise.reject(new UserError(`no pull of ${given}`))
  expect(await found(at("gone"), { pull: own })).toBe("no pull of gone | undefined")
  const both = await found("models/s0")
  expect(both).toBe(
    "models/s0 is neither a file or folder here (there is no folder models) nor a repository in the cache | check the path and the folder you are in; if it is a repository on the hub: `mobileclip pull models/s0` brings it into the cache; `mobileclip convert models/s0 --out models/NAME` makes a folder of it, which can be named too",
  )
  expect(await found("hf-hub:models/s0")).toMatch(/^hf-hub:models\/s0 is not on this machine \| /)
  const stages: string[] = []
  const onStage = (text: string) => stages.push(text)
  const directory = await modelDirectory("MobileCLIP2-S0", { onStage })
  expect(relative(at("cache", "mobileclip", "exported"), directory)).toMatch(/^tiny-fp32-[0-9a-f]{16}$/)
  expect(await modelDirectory(at("run"), { onStage })).toBe(directory)
  expect(stages).toHaveLength(1)
  expect(hub.log.length).toBe(requests)
  const asked = /^127\.0\.0\.1:\d+ has no public repository models\/s0 \(404\)/
  expect(await found("hf-hub:models/s0", { pull })).toMatch(RegExp(`${asked.source} \\| `))
  expect(await found("models/s0", { pull })).toMatch(
    RegExp(
      `${asked.source}; models/s0 was taken for a repository, as there is no file or folder of that name here \\| `,
    ),
  )
})
