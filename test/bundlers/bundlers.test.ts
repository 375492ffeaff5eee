/**
 * An application's page with the packed package, built by each bundler, served from a sub-path under a strict
 * Content-Security-Policy: it classifies a picture in headless Chromium, and again when the server has no model any more.
 */
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Browser } from "playwright-core"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { launchChromium } from "../chromium.ts"
import { StaticServer } from "../static-server.ts"
import { tinyInfo, tinyModel } from "../tiny-model.ts"
import { builds, serveWithVite } from "./builds.ts"
import { packageFolder } from "./package-folder.ts"

/** Next writes scripts into its pages. */
const policyOf = (name: string) =>
  `default-src 'self'; script-src 'self' 'wasm-unsafe-eval'${name === "Next" ? " 'unsafe-inline'" : ""}; worker-src 'self'`
const page = fileURLToPath(new URL("./page/", import.meta.url))

let app: string
let browser: Browser
beforeAll(async () => {
  app = packageFolder()
  cpSync(page, app, { recursive: true })
  mkdirSync(join(app, "public", "models"), { recursive: true })
  await exportModel(tinyModel(), tinyInfo, join(app, "public", "models", "tiny"), { dtype: "mixed" })
  await sharp({ create: { width: 80, height: 60, channels: 3, background: "teal" } }).toFile(
    join(app, "public", "teal.png"),
  )
  browser = await launchChromium()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  rmSync(app, { recursive: true, force: true })
})

test.each(Object.keys(builds))(
  "a page built by %s",
  async (name) => {
    const out = join(app, "built")
    rmSync(out, { recursive: true, force: true })
    await builds[name]!(app, out)
    cpSync(join(app, "public"), out, { recursive: true })
    await using server = await StaticServer.start({
      ...{ folder: out, base: "/sub/path/" },
      headers: { "Content-Security-Policy": policyOf(name) },
    })
    const context = await browser.newContext()
    const first = await classify(context, server.address)
    expect(first.faults).toEqual([])
    expect(first.found).toMatchObject({ device: "wasm", runtime: expect.stringContaining("onnxruntime-web") })
    expect(first.found.scores).toHaveLength(2)
    expect(server.log.filter(({ path }) => path.endsWith(".onnx"))).toHaveLength(2)

    // The page is the application's to keep; the model is ours.
    rmSync(join(out, "models"), { recursive: true })
    const second = await classify(context, server.address)
    expect(second.found.scores).toEqual(first.found.scores)
    await context.close()
  },
  300_000,
)

test.each(["vite", "vite8"] as const)(
  "the development server of %s",
  async (name) => {
    await using server = await serveWithVite(name, app)
    const context = await browser.newContext()
    const { found } = await classify(context, server.address)
    expect(found.scores).toHaveLength(2)
    await context.close()
  },
  300_000,
)

test("an import where there is no browser loads no runtime and no decoder", async () => {
  const list = join(app, "loaded.txt")
  const hooks = `import { appendFileSync } from "node:fs"
    export const load = (url, context, next) => (appendFileSync(${JSON.stringify(list)}, url + "\\n"), next(url, context))`
  const register = `import { register } from "node:module"; register(${JSON.stringify(moduleUrl(hooks))})`
  const program = `import { MobileCLIP } from "mobileclip/browser"; console.log(typeof MobileCLIP.load)`
  const args = ["--import", moduleUrl(register), "--input-type=module", "--eval", program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: app })
  expect(stdout.trim()).toBe("function")
  const loaded = readFileSync(list, "utf8")
  expect(loaded).toContain("mobileclip/dist/src/browser/index.js")
  expect(loaded).not.toMatch(/onnxruntime|sharp|jsquash|browser\/worker\//)
})

function moduleUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`
}

interface Classified {
  readonly scores: { readonly label: string; readonly score: number }[]
  readonly runtime: string
  readonly device: string
  readonly notes: readonly string[]
}

async function classify(context: Awaited<ReturnType<Browser["newContext"]>>, address: string) {
  const page = await context.newPage()
  const faults: string[] = []
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()))
  page.on("pageerror", (error) => faults.push(String(error)))
  await page.goto(address)
  const found = await page
    .waitForFunction(() => (window as unknown as { classified?: Promise<Classified> }).classified, null, {
      timeout: 90_000,
    })
    .then((handle) => handle.jsonValue())
    .catch((error) => Promise.reject(new Error([error.message, ...faults].join("\n"))))
  await page.close()
  return { found: found!, faults }
}
