/** A model's files in real Chromium: its private file system, its Cache API, its quota, its tabs, its offline mode. */
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import type * as keptModels from "../src/browser/weights/kept-models.ts"
import type * as modelSource from "../src/browser/weights/model-source.ts"
import { exportModel } from "../src/export/export.ts"
import { launchChromium } from "./chromium.ts"
import { StaticServer } from "./static-server.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

type Weights = typeof modelSource & typeof keptModels
const sources = fileURLToPath(new URL("../src/browser/weights/", import.meta.url))
const contents = `export * from "./model-source.ts"; export * from "./kept-models.ts"`
const insecureHost = "insecure.test"

let folder: string
let server: StaticServer
let browser: Browser
let context: BrowserContext

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "browser-weights-"))
  mkdirSync(join(folder, "models"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "models", "tiny"), { dtype: "mixed" })
  const stdin = { contents, resolveDir: sources }
  await build({ stdin, bundle: true, format: "esm", outfile: join(folder, "weights.js") })
  writeFileSync(
    join(folder, "index.html"),
    `<!doctype html><script type="module">import * as weights from "./weights.js"; window.weights = weights</script>`,
  )
  writeFileSync(
    join(folder, "worker.js"),
    `import { openModelFiles, listCached } from "./weights.js"
    delete FileSystemFileHandle.prototype.createWritable
    const load = async () => {
      const files = await openModelFiles("./models/large/", { towers: "image" })
      const { length } = await files.file(files.image.file)
      return [files.from(files.image.file), length]
    }
    const loads = [await load(), await load()]
    postMessage([...loads, (await listCached())[0].storage])`,
  )
  writeLarge()
  server = await StaticServer.start({ folder, base: "/sub/path/" })
  const rules = `MAP ${insecureHost} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`
  browser = await launchChromium({ args: [`--host-resolver-rules=${rules}`] })
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await server?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  context = await browser.newContext()
  server.log.length = 0
})
afterEach(() => context.close())

const large = "onnx/vision_model_fp16.onnx"

/** The tiny model's directory with 12 MB in the place of its image tower, which is not run here. */
function writeLarge(): void {
  const manifest = JSON.parse(readFileSync(join(folder, "models", "tiny", "mobileclip.json"), "utf8"))
  const bytes = randomBytes(12_000_000)
  manifest.files[large] = { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }
  mkdirSync(join(folder, "models", "large", "onnx"), { recursive: true })
  writeFileSync(join(folder, "models", "large", large), bytes)
  writeFileSync(join(folder, "models", "large", "mobileclip.json"), JSON.stringify(manifest))
}

async function open(address = server.address): Promise<Page> {
  const page = await context.newPage()
  await page.goto(address)
  await page.waitForFunction(() => "weights" in window)
  return page
}

/** In the page: reads what was asked for. */
function load(page: Page, model: string, towers: "both" | "image" | "text" = "both") {
  return page.evaluate(
    async ([model, towers]) => {
      const { openModelFiles } = (window as unknown as { weights: Weights }).weights
      const files = await openModelFiles(model!, { towers: towers as "both" })
      const loaded: Record<string, { from: string; bytes: number }> = {}
      for (const tower of [files.image, files.text]) {
        if (!tower) continue
        const { length } = await files.file(tower.file)
        loaded[tower.file] = { from: files.from(tower.file), bytes: length }
      }
      return { loaded, notes: files.notes, name: files.description.name }
    },
    [model, towers],
  )
}

const listKept = (page: Page) => page.evaluate(() => (window as unknown as { weights: Weights }).weights.listCached())

const originsOf = ({ loaded }: Awaited<ReturnType<typeof load>>) => Object.values(loaded).map(({ from }) => from)
const requestsFor = (name: string) => server.log.filter(({ path }) => path.endsWith(name))

test("a first load is kept in OPFS; the next one takes it from there, offline too", async () => {
  const page = await open()
  const first = await load(page, "./models/tiny/")
  expect(first).toMatchObject({ name: "tiny", notes: [] })
  expect(originsOf(first)).toEqual(["network", "network"])
  expect(await listKept(page)).toEqual([
    { source: `${server.address}models/tiny/`, bytes: expect.any(Number), storage: "OPFS" },
  ])
  const other = await open()
  expect(originsOf(await load(other, "./models/tiny/"))).toEqual(["cache", "cache"])
  expect(requestsFor(".onnx")).toHaveLength(2)
  await context.setOffline(true)
  const offline = await load(other, "./models/tiny/")
  expect(originsOf(offline)).toEqual(["cache", "cache"])
  expect(offline.notes).toEqual([expect.stringContaining("this browser is offline")])
})

test("two tabs at once fetch each file once", async () => {
  const pages = await Promise.all([open(), open()])
  const loaded = await Promise.all(pages.map((page) => load(page, "./models/tiny/")))
  expect(loaded.flatMap(originsOf).sort()).toEqual(["cache", "cache", "network", "network"])
  expect(requestsFor(".onnx")).toHaveLength(2)
})

test("one tower alone", async () => {
  const page = await open()
  expect(Object.keys((await load(page, "./models/tiny/", "text")).loaded)).toEqual(["onnx/text_model.onnx"])
  expect(requestsFor(".onnx").map(({ path }) => path)).toEqual(["models/tiny/onnx/text_model.onnx"])
})

test("a connection that is cut goes on by a range", async () => {
  const page = await open()
  server.faults[`models/large/${large}`] = [{ cutAfter: 9_000_000 }]
  expect(originsOf(await load(page, "./models/large/", "image"))).toEqual(["network"])
  const ranges = requestsFor(large).map(({ range }) => range)
  expect(ranges).toEqual([null, expect.stringMatching(/^bytes=\d+-$/)])
  expect(originsOf(await load(page, "./models/large/", "image"))).toEqual(["cache"])
})

test("a tab that is closed in the middle of a download leaves pieces that the next one goes on from", async () => {
  const page = await open()
  server.faults[`models/large/${large}`] = [{ holdAfter: 9_000_000 }]
  const cut = load(page, "./models/large/", "image").catch(() => null)
  const kept = await open()
  await expect.poll(async () => (await listKept(kept))[0]?.bytes ?? 0).toBeGreaterThan(2 ** 23)
  await page.close()
  await cut
  expect(originsOf(await load(kept, "./models/large/", "image"))).toEqual(["network"])
  expect(requestsFor(large).at(-1)!.range).toBe(`bytes=${2 ** 23}-`)
})

test("where the quota ends the file is in memory, and a note says it", async () => {
  const page = await open()
  const session = await context.newCDPSession(page)
  await session.send("Storage.overrideQuotaForOrigin", {
    origin: new URL(server.address).origin,
    quotaSize: 10_000_000,
  })
  const { loaded, notes } = await load(page, "./models/large/", "image")
  expect(loaded[large]).toEqual({ from: "network", bytes: 12_000_000 })
  expect(notes).toEqual([
    expect.stringMatching(/onnx is in memory alone.*(room for \d+ more here|room here is used up)$/),
  ])
  expect((await listKept(page))[0]!.bytes).toBeLessThan(100_000)
})

test("where OPFS is missing, the Cache API keeps it", async () => {
  await context.addInitScript(() =>
    Object.defineProperty(StorageManager.prototype, "getDirectory", { value: undefined }),
  )
  const page = await open()
  expect(originsOf(await load(page, "./models/large/", "image"))).toEqual(["network"])
  expect(originsOf(await load(page, "./models/large/", "image"))).toEqual(["cache"])
  expect(await listKept(page)).toMatchObject([{ storage: "Cache API" }])
  const freed = await page.evaluate(() => (window as unknown as { weights: Weights }).weights.clearCache())
  expect(freed).toBeGreaterThan(12_000_000)
  expect(await listKept(page)).toEqual([])
})

test("in a worker of a browser that writes files there alone", async () => {
  const page = await open()
  const found = await page.evaluate(() => {
    const worker = new Worker("./worker.js", { type: "module" })
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data)
      worker.onerror = ({ message }) => reject(new Error(message))
    })
  })
  expect(found).toEqual([["network", 12_000_000], ["cache", 12_000_000], "OPFS"])
})

test("a page without https loads, keeps nothing, and says why", async () => {
  const page = await open(`http://${insecureHost}:${server.port}/sub/path/`)
  const { loaded, notes } = await load(page, "./models/tiny/")
  expect(Object.values(loaded).map(({ from }) => from)).toEqual(["network", "network"])
  expect(notes).toEqual([expect.stringMatching(/nothing is kept.*not secure/)])
})

test("a server that answers everything with its page has no model, in a line", async () => {
  server.answersWithPages = true
  const page = await open()
  await expect(load(page, "./models/nowhere/")).rejects.toThrow(
    `there is no model at ${server.address}models/nowhere/: it gives out no mobileclip.json`,
  )
  server.answersWithPages = false
})
