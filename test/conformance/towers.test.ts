/** One suite for every runtime: the pixels, the tokens, the towers and the labels' scores of the model as it was trained. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { softwareWebgpu, TestPage } from "../browser/open-page.ts"
import { isolationHeaders, strictPolicy } from "../browser/site.ts"
import { byLibtorch, byNode, byPage } from "./engines.ts"
import { build, models, type Outputs, tolerances } from "./towers.ts"

let folder: string
let wasm: TestPage
let webgpu: TestPage

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "conformance-"))
  for (const model of models) await exportModel(build(model), model.info, join(folder, model.info.name))
  const headers = { ...isolationHeaders, "Content-Security-Policy": strictPolicy }
  const site = { headers, folders: { models: folder } }
  wasm = await TestPage.open(site)
  webgpu = await TestPage.open(site, softwareWebgpu)
})
afterAll(async () => {
  await wasm?.[Symbol.asyncDispose]()
  await webgpu?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

describe.each(models)("$info.name", (model) => {
  const { name } = model.info
  let expected: Outputs
  beforeAll(async () => {
    expected = await byLibtorch(model)
  })

  test("onnxruntime-node", async () => {
    expectSame("onnxruntime-node", await byNode(join(folder, name)), expected)
  })

  test("onnxruntime-web on WebAssembly, in Chromium", async () => {
    const found = await byPage(wasm, `models/${name}/`, "wasm")
    expect(found).toMatchObject({ device: "wasm", notes: [] })
    expectSame("onnxruntime-web, WebAssembly", found, expected)
  })

  // Shaders are compiled and run by a processor: half a minute for a model that takes milliseconds otherwise.
  test("onnxruntime-web on WebGPU, in Chromium", { timeout: 400_000 }, async (context) => {
    const reason = await webgpu.page.evaluate(async () => {
      const { gpu } = navigator as unknown as { gpu?: { requestAdapter(): Promise<unknown> } }
      return (await gpu?.requestAdapter()) ? null : "this Chromium gives no WebGPU adapter, not even one in software"
    })
    if (reason !== null) console.warn(`skipped: ${reason}`)
    context.skip(reason !== null, reason ?? "")
    const found = await byPage(webgpu, `models/${name}/`, "webgpu")
    expect(found).toMatchObject({ device: "webgpu", notes: ["WebGPU passed its self-test (cosine 1.0000)"] })
    expectSame("onnxruntime-web, WebGPU", found, expected)
  })
})

test("neither page broke its Content-Security-Policy", async () => {
  for (const { page, site } of [wasm, webgpu]) {
    // The report of this one comes after those of others.
    await page.evaluate(() => void setTimeout(() => new Function("return 1")()))
    expect(await site.violations(1)).toBe(1)
  }
})

function expectSame(runtime: string, found: Outputs, expected: Outputs): void {
  const differences = Object.fromEntries(stages.map((stage) => [stage, difference(found[stage], expected[stage])]))
  const line = stages.map((stage) => `${stage} ${differences[stage]!.toExponential(1)}`).join(", ")
  console.info(`${expect.getState().currentTestName!.split("'")[1]} on ${runtime}: largest differences ${line}`)
  for (const stage of stages) expect(differences[stage], stage).toBeLessThanOrEqual(tolerances[stage])
  expect(expected.scores.flat().every((score) => score > 0 && score < 1)).toBe(true)
}

const stages = Object.keys(tolerances) as readonly (keyof Outputs)[]

/** The largest; Infinity where there are not as many values. */
function difference(found: Outputs[keyof Outputs], expected: Outputs[keyof Outputs]): number {
  const [a, b] = [found.flat(), expected.flat()]
  return a.length === b.length && a.length > 0 ? Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) : Infinity
}
