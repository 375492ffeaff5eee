import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { tinyInfo, tinyModel } from "../tiny-model.ts"
import { softwareWebgpu, TestPage } from "./open-page.ts"
import { strictPolicy } from "./site.ts"

test("try", async () => {
  const folder = mkdtempSync(join(tmpdir(), "try-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "tiny"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "half"), { dtype: "fp16" })
  await using opened = await TestPage.open({ folders: { "models/": `${folder}/` }, headers: { "Content-Security-Policy": strictPolicy } }, softwareWebgpu)
  const { page } = opened
  page.on("console", (m) => console.log("console:", m.text()))
  page.on("pageerror", (m) => console.log("pageerror:", m.message))
  for (const [device, name] of [["wasm", "tiny"], ["webgpu", "tiny"], ["auto","tiny"], ["webgpu", "tiny"], ["wasm", "half"], ["webgpu", "half"]] as const) {
    console.log(device, name, await page.evaluate(async ([device, name]) => {
      const t = performance.now()
      try {
        const clip = await mobileclip.MobileCLIP.load(`models/${name}/`, { device: device as "wasm", onProgress: (p) => console.log(JSON.stringify(p)) })
        const { manifest: _, ...info } = clip.info
        const vectors = await clip.encodeTexts(["a cat", "many words and a dog"])
        const c = new OffscreenCanvas(100, 80); const x = c.getContext("2d")!; x.fillStyle = "red"; x.fillRect(10, 10, 40, 50)
        const images = await clip.encodeImages([c, await c.convertToBlob({ type: "image/jpeg" }), await c.convertToBlob()])
        await clip.dispose()
        return JSON.stringify([info, Array.from(vectors.slice(0, 4)), Array.from(images.slice(0,3)), Array.from(images.slice(16,19)), performance.now() - t, mobileclip.violations])
      } catch (e) { return String((e as Error).stack) + (e as {hint?:string}).hint }
    }, [device, name]))
  }
  expect(1).toBe(1)
}, 120000)
