/** The parts that judge, given what a machine may say. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type AddonRequest, scanAddonOrNull } from "../../scan/index.ts"
import { UserError } from "../core/errors.ts"
import { checksOf } from "./check.ts"
import { hubChecks } from "./hub.ts"
import { addonChecks, libtorchCheck } from "./libtorch.ts"
import { preprocessingCheck } from "./model.ts"
import { providerCheck } from "./onnxruntime.ts"
import { searchChecks } from "./search.ts"
import { resultChecks } from "./self-test.ts"
import { instructionsCheck, parseCpuMax } from "./system.ts"

test("a user's error is a problem with its hint; a bug is thrown", () => {
  const { failed } = checksOf("Pictures")
  expect(failed("model", new UserError("broken", "mend it"))).toMatchObject({ state: "problem", fix: "mend it" })
  expect(() => failed("model", new Error("a bug"))).toThrow("a bug")
})

test.each([
  ["max 100000", null],
  ["150000 100000", 1.5],
  ["50000 100000", 0.5],
  ["-1 100000", null],
  ["", null],
  ["0 0", null],
])('a cgroup that says "%s" allows %s processors', (text, expected) => {
  expect(parseCpuMax(text)).toBe(expected)
})

test("a processor's instructions, and those for bfloat16 among them", () => {
  expect(instructionsCheck(["avx2", "avx512_bf16"])).toMatchObject({
    state: "ok",
    text: "avx2, avx512_bf16; bfloat16 by avx512_bf16",
    facts: { features: ["avx2", "avx512_bf16"] },
  })
  expect(instructionsCheck(["avx2"]).text).toBe("avx2; no instructions for bfloat16")
  expect(instructionsCheck([]).text).toBe("not listed by this system; no instructions for bfloat16")
})

test("the search addon finds what is there; one that does not, or is not built, is told", async () => {
  const { kernels, VectorFile } = scanAddonOrNull!
  const [kernel] = kernels()
  expect(await searchChecks()).toMatchObject([{ state: "ok", text: `finds vectors with ${kernel}`, facts: { kernel } }])
  expect(await searchChecks(null)).toMatchObject([{ state: "absent", fix: expect.stringContaining("setup") }])
  // Rows from another place: what is nearest is another one.
  class Shifted extends VectorFile {
    constructor(descriptor: number, dim: number) {
      super(descriptor, dim, 6, "")
    }
    override scan(query: Float32Array, request: AddonRequest) {
      return super.scan(query, { ...request, count: 2 })
    }
  }
  expect(await searchChecks({ kernels, VectorFile: Shifted })).toMatchObject([
    { state: "problem", text: expect.stringMatching(/^finds vector 0 where 1 is the nearest/) },
  ])
})

describe("execution providers", () => {
  test("right values are ok, wrong ones are not", () => {
    const right = [13.5, 13.5, 13.5, 13.501]
    expect(providerCheck("cuda", false, { ok: true, value: right })).toMatchObject({ state: "ok", text: "computes" })
    const wrong = providerCheck("cpu", true, { ok: true, value: [0, 13.5, 13.5, 13.5] })
    expect(wrong).toMatchObject({ state: "problem", text: "computes wrongly: 0 13.5 13.5 13.5 instead of 13.5" })
    expect(providerCheck("cpu", true, { ok: true, value: [] }).state).toBe("problem")
    expect(providerCheck("cpu", true, { ok: true, value: [Number.NaN, 13.5, 13.5, 13.5] }).state).toBe("problem")
  })

  test("the processor must work, the others need not", () => {
    const crashed = { ok: false, reason: "crashed (SIGSEGV)" } as const
    expect(providerCheck("cpu", true, crashed)).toMatchObject({ state: "problem", fix: expect.any(String) })
    const webgpu = providerCheck("webgpu", true, crashed)
    expect(webgpu).toMatchObject({
      state: "absent",
      text: "cannot be used: crashed (SIGSEGV)",
      fix: expect.any(String),
    })
    const wrong = providerCheck("cuda", true, { ok: true, value: [1, 1, 1, 1] })
    expect(wrong).toMatchObject({ state: "warning", text: expect.stringContaining("computes wrongly") })
    const long =
      "/onnxruntime_src/onnxruntime/core/webgpu_context.cc:136 onnxruntime::Initialize(a)::<lambda()> status == 0 was false. No adapter"
    expect(providerCheck("webgpu", true, { ok: false, reason: long }).text).toBe("cannot be used: No adapter")
  })
})

describe("libtorch", () => {
  const facts = { built: "2.13.0", running: "2.13.1+cpu", devices: ["cpu"], threads: 2, blas: [] }

  test("may be absent", () => {
    expect(libtorchCheck(null)).toMatchObject({ state: "absent", fix: expect.stringContaining("LIBTORCH") })
  })

  test("an addon that loads tells devices, threads and BLAS", () => {
    const checks = addonChecks({ ok: true, value: facts })
    expect(checks.map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok"])
    expect(checks.map(({ text }) => text)).toEqual([
      "runs on libtorch 2.13.1+cpu",
      "cpu",
      "2",
      "not a library of its own",
    ])
  })

  test("an addon for another libtorch, or one that crashes, is a problem", () => {
    const other = addonChecks({ ok: true, value: { ...facts, running: "2.12.0" } })
    expect(other).toMatchObject([{ state: "problem", text: "was built for libtorch 2.13.0 but runs on 2.12.0" }])
    const crashed = addonChecks({ ok: false, reason: "crashed (SIGABRT)" })
    expect(crashed).toMatchObject([
      { state: "problem", text: "does not load: crashed (SIGABRT)", fix: "npx mobileclip setup" },
    ])
  })
})

describe("the hub", () => {
  let home: string
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "doctor-hub-"))
  })
  afterEach(() => rmSync(home, { recursive: true }))

  test("by default", async () => {
    const [cache, endpoint, downloads, token] = await hubChecks({ HF_HOME: join(home, "hf") })
    expect(cache).toMatchObject({ facts: { folder: join(home, "hf/hub"), freeBytes: expect.any(Number) } })
    expect(endpoint).toMatchObject({ state: "ok", text: "https://huggingface.co" })
    expect(downloads).toMatchObject({ state: "ok", text: "allowed" })
    expect(token).toMatchObject({ state: "ok", facts: { tokenSource: null } })
  })

  test("as the environment says; the token is never shown", async () => {
    const env = {
      HF_HOME: home,
      HF_HUB_CACHE: home,
      HF_ENDPOINT: "http://127.0.0.1:9/",
      HF_HUB_OFFLINE: "1",
      HF_TOKEN: "hf_secret",
    }
    const checks = await hubChecks(env)
    expect(checks.map(({ state }) => state)).toEqual([expect.any(String), "ok", "warning", "ok"])
    expect(checks[0]!.facts).toMatchObject({ folder: home })
    expect(checks[1]!.text).toBe("http://127.0.0.1:9")
    expect(checks[3]!.text).toBe("found (HF_TOKEN)")
    expect(JSON.stringify(checks)).not.toContain("secret")
  })

  test.each([
    ["an address that is none", { HF_ENDPOINT: "hub.example" }, /"hub\.example" is not an http or https address/],
    ["a token that is none", { HF_TOKEN: "hf_secret two" }, /^HF_TOKEN holds no token/],
  ])("%s", async (_, env, message) => {
    const checks = await hubChecks({ HF_HOME: home, ...env })
    expect(checks[1]).toMatchObject({ name: "settings", state: "problem", text: expect.stringMatching(message) })
    expect(JSON.stringify(checks)).not.toContain("secret")
  })

  test("a token in its file", async () => {
    mkdirSync(join(home, "hf"))
    writeFileSync(join(home, "hf/token"), "hf_secret\n")
    const checks = await hubChecks({ HF_HOME: join(home, "hf") })
    expect(checks[3]!.facts).toEqual({ tokenSource: join(home, "hf/token") })
    expect(JSON.stringify(checks)).not.toContain("secret")
  })
})

test("preprocessing in words; a released name with another is a warning", () => {
  const plain = { size: 256, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] } as const
  const own = preprocessingCheck("mine", { ...plain, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] })
  expect(own).toMatchObject({ state: "ok" })
  expect(own.text).toBe(
    "shorter side to 256 pixels (bilinear, antialiased as in Pillow), center 256 x 256, RGB in 0..1 minus 0.5 0.4 0.3 divided by 0.2 0.2 0.2",
  )
  const released = preprocessingCheck("mobileclip2-s0", plain)
  expect(released).toMatchObject({
    state: "ok",
    text: expect.stringMatching(/RGB in 0\.\.1 as it is \(mean 0, std 1\)$/),
  })
  const bicubic = preprocessingCheck("mobileclip2-s0", { ...plain, interpolation: "bicubic" })
  expect(bicubic).toMatchObject({
    state: "warning",
    fix: expect.stringContaining("published with: shorter side to 256"),
  })
})

test("a self-test says PASS or FAIL by how much, of values and of neighbours", () => {
  const result = { error: 1.5e-6, batchError: 0, tolerance: 2e-4, milliseconds: 12.34 }
  const states = (changed: Partial<typeof result>) =>
    resultChecks("text", { ...result, ...changed }, "libtorch 2.13.0").map(({ state }) => state)
  expect(states({})).toEqual(["ok", "ok", "ok"])
  expect(states({ error: 3e-4 })).toEqual(["problem", "ok", "ok"])
  expect(states({ error: Number.NaN })).toEqual(["problem", "ok", "ok"])
  expect(states({ batchError: 0.4 })).toEqual(["ok", "problem", "ok"])
  expect(states({ batchError: Number.NaN })).toEqual(["ok", "problem", "ok"])
  const [values, alone, latency] = resultChecks("text", { ...result, batchError: 0.4 }, "libtorch 2.13.0")
  expect(values!.text).toBe("PASS: differs from libtorch 2.13.0 by 1.5e-6 standard deviations at most")
  expect(alone!.text).toBe("FAIL: a label's vector changes by 4.0e-1 standard deviations with others in the batch")
  expect(latency!.text).toBe("12.3 ms for one (median, batch 1)")
})
