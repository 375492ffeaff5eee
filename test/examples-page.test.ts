/**
 * examples/vite-page as its readers have it: with the packed package, checked and built by the scripts of its package.json,
 * served from a sub-path. Its scores in headless Chromium are those of the library in Node.
 */
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { exportModel } from "../src/export/export.ts"
import { MobileCLIP } from "../src/weights/clip-node.ts"
import { scenePictures } from "./app/open-app.ts"
import { packageFolder } from "./bundlers/package-folder.ts"
import { launchChromium } from "./chromium.ts"
import { StaticServer } from "./static-server.ts"
import { tinyInfo, tinyModel } from "./tiny-model.ts"

const example = fileURLToPath(new URL("../examples/vite-page/", import.meta.url))
const shown = ["a circle", "a square", "a star", "a heart"]

let app: string
let server: StaticServer
let browser: Browser
let clip: MobileCLIP
beforeAll(async () => {
  app = packageFolder()
  cpSync(example, app, { recursive: true })
  mkdirSync(join(app, "public"))
  const model = join(app, "public", "model")
  await exportModel(tinyModel(), tinyInfo, model, { dtype: "mixed" })
  await runScript("build")
  server = await StaticServer.start({ folder: join(app, "dist"), base: "/sub/path/" })
  browser = await launchChromium()
  clip = await MobileCLIP.load(model, { threads: 1 })
}, 240_000)
afterAll(async () => {
  await clip?.dispose()
  await browser?.close()
  await server?.[Symbol.asyncDispose]()
  if (app) rmSync(app, { recursive: true, force: true })
})

/** As npm does, but by the programs' paths: links of packages have no folder of programs. */
async function runScript(name: string): Promise<void> {
  const { scripts } = JSON.parse(readFileSync(join(app, "package.json"), "utf8")) as { scripts: Record<string, string> }
  const programs: Record<string, string> = { tsc: "typescript/bin/tsc", vite: "vite/bin/vite.js" }
  for (const command of scripts[name]!.split(" && ")) {
    const [program, ...words] = command.split(" ")
    await promisify(execFile)(process.execPath, [join(app, "node_modules", programs[program!]!), ...words], {
      cwd: app,
    })
  }
}

async function open(): Promise<Page> {
  const page = await browser.newPage()
  await page.goto(server.address)
  await page.getByText("tiny on wasm").waitFor()
  return page
}

/** On the page there is one decimal of a percent. */
async function expectScores(page: Page, picture: Buffer, labels: readonly string[]): Promise<void> {
  const [expected] = await clip.classify([new Uint8Array(picture)], labels)
  await expect.poll(() => page.locator("li").count()).toBe(labels.length)
  const found = (await page.locator("li").allInnerTexts()).map((line) => /^(.+) (\d+\.\d) %$/.exec(line)!.slice(1))
  expect(found.map(([label]) => label)).toEqual(expected!.map(({ label }) => label))
  found.forEach(([, score], i) => {
    expect(Math.abs(Number(score) - 100 * expected![i]!.score)).toBeLessThan(0.06)
  })
}

test("pictures of a file input are classified in a worker, with the scores of the library in Node", async () => {
  const page = await open()
  const [first, second] = await scenePictures(2)
  await page.getByLabel("Picture").setInputFiles(first!)
  await expectScores(page, first!.buffer, shown)
  expect(page.workers()).toHaveLength(1)

  await page.getByLabel("Labels").fill("red, blue")
  await page.getByLabel("Labels").press("Enter")
  await expectScores(page, first!.buffer, ["red", "blue"])
  await page.getByLabel("Picture").setInputFiles(second!)
  await expectScores(page, second!.buffer, ["red", "blue"])
  await page.close()
})

test("a file that is not a picture is named, and its scores are not those of the one before", async () => {
  const page = await open()
  const [good] = await scenePictures(1)
  await page.getByLabel("Picture").setInputFiles(good!)
  await expectScores(page, good!.buffer, shown)
  await page.getByLabel("Picture").setInputFiles({ name: "no.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no") })
  await page.getByText("no.jpg is not a picture that this browser decodes").waitFor()
  expect(await page.locator("li").count()).toBe(0)
  await page.getByLabel("Picture").setInputFiles(good!)
  await expectScores(page, good!.buffer, shown)
  await page.getByText("tiny on wasm").waitFor()
  await page.close()
})

test("without a model the page says which address has none", async () => {
  rmSync(join(app, "dist", "model"), { recursive: true })
  const page = await (await browser.newContext()).newPage()
  await page.goto(server.address)
  await page.getByText(/\/sub\/path\/model\//).waitFor()
  expect(await page.getByLabel("Picture").isDisabled()).toBe(true)
  await page.context().close()
})
