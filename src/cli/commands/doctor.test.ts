import { createHash } from "node:crypto"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { tinyCoca, tinyCocaInfo } from "../../../test/tiny-coca.ts"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { safetensorsChunks } from "../../core/containers/safetensors.ts"
import { manifestFile } from "../../core/inference/manifest.ts"
import { onnxDtypes } from "../../core/precision.ts"
import { type Check, checksOf } from "../../doctor/check.ts"
import { modelChecks } from "../../doctor/model.ts"
import { exportModel } from "../../export/export.ts"
import { checkpointMetadata, checkpointTensors } from "../../model/checkpoint/checkpoint.ts"
import { initialize } from "../../model/module.ts"
import { main } from "../main.ts"
import { checkText } from "./doctor.ts"

let folder: string
const at = (...parts: string[]) => join(folder, ...parts)
const textTower = "onnx/text_model.onnx"

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "doctor-"))
  const other = tinyModel()
  initialize(other, 2)
  await exportModel(other, tinyInfo, at("other"))
})
beforeEach(() => exportModel(tinyModel(), tinyInfo, at("model")))
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(at("model"), { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true }))

async function doctor(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["doctor", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err }
}

test("a line has its section's title where that changes, and what to do below it", () => {
  const { ok, problem } = checksOf("Pictures")
  const first = ok("sharp", "decodes")
  expect(checkText(first)).toBe("Pictures\n  ok       sharp               decodes\n")
  const second = problem("files\n", "gone\n  twice\u001b[2J", { fix: "copy" })
  expect(checkText(second, first)).toMatch(/^ {2}problem {2}files\s+gone twice\\x1b\[2J\n {31}copy\n$/)
  expect(checkText(checksOf("Hub").ok("token", "none"), first)).toMatch(/^\nHub\n {2}ok /)
})

const problemsOf = (checks: readonly Check[]) => checks.filter(({ state }) => state === "problem")

/** Changes the manifest, which no hash protects. */
function edit(change: (manifest: { files: Record<string, unknown>; selfTest?: unknown }) => void): void {
  const manifest = JSON.parse(readFileSync(at("model", manifestFile), "utf8"))
  change(manifest)
  writeFileSync(at("model", manifestFile), JSON.stringify(manifest))
}

test("a healthy machine and a healthy model: no problem, exit code 0", async () => {
  const { code, out, err } = await doctor(at("model"), "--json")
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const { ok, checks }: { ok: boolean; checks: Check[] } = JSON.parse(out)
  expect(ok).toBe(true)
  const sections = [...new Set(checks.map(({ section }) => section))]
  expect(sections).toEqual([
    "System",
    "ONNX Runtime",
    "libtorch (training)",
    "Pictures",
    "Search",
    "Model hub",
    "Model",
  ])
  const named = (name: string) => checks.find((check) => check.name === name)
  expect(named("Node")).toMatchObject({ state: "ok", facts: { version: process.versions.node } })
  expect(named("cpu")).toMatchObject({ state: "ok", text: "computes", facts: { works: true } })
  expect(named("libtorch")).toBeDefined()
  expect(named("sharp")).toMatchObject({ state: "ok" })
  expect(named("files")).toMatchObject({ state: "ok", facts: { count: 6 } })
  for (const tower of ["image", "text"]) {
    expect(named(`${tower} self-test`)).toMatchObject({ state: "ok", text: expect.stringMatching(/^PASS: /) })
    expect(named(`${tower} self-test`)!.facts!.error).toBeLessThan(1e-5)
    expect(named(`${tower} alone`)).toMatchObject({ state: "ok", text: expect.stringMatching(/^PASS: /) })
    expect(named(`${tower} latency`)!.facts!.milliseconds).toBeGreaterThan(0)
  }
  for (const { state, fix } of checks) if (state !== "ok") expect(fix).toBeTruthy()
})

test("a broken model: lines for people, exit code 1, the number of problems on stderr", async () => {
  rmSync(at("model", "tokenizer.json"))
  const { code, out, err } = await doctor(at("model"))
  expect({ code, err }).toEqual({ code: 1, err: "mobileclip: 1 problem found\n" })
  expect(out).toMatch(/^System\n {2}ok +mobileclip +\d+\.\d+\.\d+\n/)
  expect(out).toMatch(
    /\n\nModel\n {2}ok +manifest +tiny, 0\.\d \+ 0\.8 M parameters, 16 values, from memory, licence: MIT\n/,
  )
  expect(out).toMatch(/ {2}problem +tokenizer\.json +is missing\n +copy or export the model again\n/)
  expect(out).toMatch(/ {2}ok +text self-test +PASS: /)
})

describe("a model directory", () => {
  test("a damaged file is found by its hash", async () => {
    const bytes = readFileSync(at("model", textTower))
    bytes[bytes.length - 100]! ^= 1
    writeFileSync(at("model", textTower), bytes)
    const wrong = problemsOf(await modelChecks(at("model")))
    expect(wrong).toMatchObject([{ name: textTower, text: expect.stringMatching(/^is damaged: sha256 /) }])
  })

  test("a file that was cut off is told by its size, and the tower does not run", async () => {
    writeFileSync(at("model", textTower), readFileSync(at("model", textTower)).subarray(0, 5000))
    const wrong = problemsOf(await modelChecks(at("model")))
    expect(wrong.map(({ name }) => name)).toEqual([textTower, "text self-test"])
    expect(wrong[0]!.text).toMatch(/^has 5000 bytes, and the manifest says \d+$/)
    expect(wrong[1]!.text).toContain("does not run")
  })

  test("a missing tower", async () => {
    rmSync(at("model", textTower))
    const wrong = problemsOf(await modelChecks(at("model")))
    expect(wrong).toMatchObject([
      { name: textTower, text: "is missing" },
      { name: "text self-test", text: expect.stringContaining("does not run") },
    ])
  })

  test("wrong weights FAIL the self-test even where every hash is right", async () => {
    copyFileSync(at("other", textTower), at("model", textTower))
    edit(({ files }) => {
      const sha256 = createHash("sha256")
        .update(readFileSync(at("model", textTower)))
        .digest("hex")
      files[textTower] = { bytes: statSync(at("model", textTower)).size, sha256 }
    })
    const wrong = problemsOf(await modelChecks(at("model")))
    expect(wrong).toMatchObject([{ name: "text self-test", text: expect.stringMatching(/^FAIL: differs .* by \d/) }])
    expect(wrong[0]!.facts!.error).toBeGreaterThan(0.1)
  })

  test("a model of an older version runs, without values to compare with", async () => {
    edit((manifest) => {
      delete manifest.selfTest
    })
    const checks = await modelChecks(at("model"))
    expect(problemsOf(checks)).toEqual([])
    expect(checks.find(({ name }) => name === "image self-test")).toMatchObject({
      state: "warning",
      facts: { error: null },
    })
  })

  test("a tower that is missing in the manifest", async () => {
    edit(({ files }) => {
      delete files[textTower]
    })
    expect(problemsOf(await modelChecks(at("model")))).toMatchObject([
      { name: textTower, text: "is not in the manifest" },
    ])
  })

  test.each([
    ["damaged", "{", /mobileclip\.json/],
    ["of another kind", "{}", /is not a model manifest of format/],
  ])("a manifest that is %s", async (_, text, message) => {
    writeFileSync(at("model", manifestFile), text)
    const checks = await modelChecks(at("model"))
    expect(checks).toMatchObject([{ name: "model", state: "problem", text: expect.stringMatching(message) }])
  })
})

const layoutNames = ["transformers.js", "immich", "plain"] as const
const every = [
  ...layoutNames.flatMap((layout) => onnxDtypes.map((dtype) => ({ layout, dtype }))),
  { layout: "transformers.js", dtype: "mixed" } as const,
]

test.each(every)("a model, and a captioner, in $layout and $dtype has no problem", async (options) => {
  await exportModel(tinyModel(), tinyInfo, at("model"), options)
  const checks = await modelChecks(at("model"))
  expect(checks.filter(({ state }) => state !== "ok")).toEqual([])
  expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(["files", "image self-test", "text self-test"]))
  await exportModel(tinyCoca(), tinyCocaInfo, at("captioner"), options)
  expect(problemsOf(await modelChecks(at("captioner")))).toEqual([])
})

test.each(onnxDtypes)("a directory of others in %s is run", async (dtype) => {
  await exportModel(tinyModel(), tinyInfo, at("model"), { dtype })
  rmSync(at("model", manifestFile))
  expect((await modelChecks(at("model"))).map(({ name, state }) => `${name} ${state}`)).toEqual([
    "towers ok",
    "preprocessing ok",
  ])
})

test("a directory without a manifest, in the layout of others, is run", async () => {
  await exportModel(tinyModel(), tinyInfo, at("model"), { layout: "immich" })
  rmSync(at("model", manifestFile))
  const checks = await modelChecks(at("model"))
  expect(checks.map(({ name, state }) => [name, state])).toEqual([
    ["towers", "ok"],
    ["preprocessing", "ok"],
  ])
  rmSync(at("model", "textual/tokenizer.json"))
  expect(problemsOf(await modelChecks(at("model")))).toMatchObject([
    { text: expect.stringMatching(/tokenizer\.json does not exist$/) },
  ])
})

test("a folder without a model is told with what a model needs", async () => {
  rmSync(at("model", manifestFile))
  rmSync(at("model", "onnx"), { recursive: true })
  expect(await modelChecks(at("model"))).toMatchObject([
    { state: "problem", text: expect.stringMatching(/^there is no model in .*: it has config\.json, /) },
  ])
})

test("a path where nothing is", async () => {
  expect(await modelChecks(at("none"))).toMatchObject([
    {
      state: "problem",
      text: `${at("none")} does not exist`,
      fix: expect.stringMatching(/^check the path; a model is a folder, /),
    },
  ])
})

describe("a checkpoint", () => {
  const write = (model = tinyModel()) => {
    const chunks = [...safetensorsChunks(checkpointTensors(model), checkpointMetadata(tinyInfo))]
    writeFileSync(at("tiny.safetensors"), Buffer.concat(chunks))
  }

  test("is tested as the model it becomes, and leaves no files", async () => {
    write()
    // Not where other processes make and remove theirs.
    const temporary = at("temporary")
    mkdirSync(temporary)
    vi.stubEnv("TMPDIR", temporary)
    const checks = await modelChecks(at("tiny.safetensors"))
    expect(problemsOf(checks)).toEqual([])
    expect(checks.map(({ name }) => name).slice(0, 4)).toEqual([
      "checkpoint",
      "preprocessing",
      "export",
      "image self-test",
    ])
    const sha256 = createHash("sha256")
      .update(readFileSync(at("tiny.safetensors")))
      .digest("hex")
    expect(checks[0]!.facts).toMatchObject({ name: "tiny", form: "train", license: "MIT", sha256 })
    expect(checks[2]!.facts).toMatchObject({ reference: "onnxruntime-node, not fused" })
    expect(readdirSync(temporary)).toEqual([])
  })

  test("whose weights are not numbers is a problem", async () => {
    const model = tinyModel()
    const { weight } = model.text.finalNorm
    weight.source = () => new Float32Array(weight.size).fill(Number.NaN)
    write(model)
    expect(problemsOf(await modelChecks(at("tiny.safetensors")))).toMatchObject([
      { name: "export", text: "the exported text tower gives values that are not numbers" },
    ])
  })

  test("that was cut off is a problem", async () => {
    write()
    writeFileSync(at("tiny.safetensors"), readFileSync(at("tiny.safetensors")).subarray(0, 1_000_000))
    expect(await modelChecks(at("tiny.safetensors"))).toMatchObject([{ name: "model", state: "problem" }])
  })
})
