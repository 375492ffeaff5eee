/** The page (`app/`), used as people use it, in headless Chromium: what it shows is compared with the library in Node. */
import { execFile } from "node:child_process"
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { BrowserContext, Locator, Page } from "playwright-core"
import sharp from "sharp"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { parseLabels } from "../../src/run/labels/label-file.ts"
import { MobileCLIP } from "../../src/weights/clip-node.ts"
import { softwareWebgpu } from "../browser/open-page.ts"
import { IndexFolder } from "../served-index.ts"
import { ServedTiny } from "../served-tiny.ts"
import { StaticServer } from "../static-server.ts"
import { tinyInfo, tinyModel } from "../tiny-model.ts"
import {
  AppBrowser,
  barsIn,
  farthest,
  type GivenFile,
  modelReady,
  openApp,
  openTab,
  scenePictures,
  textOf,
} from "./open-app.ts"

/** A part of the page's own sources, which another project of TypeScript has. */
type Train = (
  vectors: readonly Float32Array[],
  groups: readonly number[],
  count: number,
) => Promise<{ right: number; interval: [number, number]; judged: { said: number }[] }>

async function trainOf(...set: Parameters<Train>): ReturnType<Train> {
  const source = "../../app/src/teach/leave-one-out.ts"
  const { train } = (await import(source)) as { train: Train }
  return train(...set)
}

const root = fileURLToPath(new URL("../../", import.meta.url))
const dim = 16
const labels = ["circle", "square", "star"]

let served: ServedTiny
let browser: AppBrowser
let pictures: GivenFile[]
let clip: MobileCLIP
const contexts: BrowserContext[] = []
beforeAll(async () => {
  served = await ServedTiny.start()
  browser = await AppBrowser.launch()
  pictures = await scenePictures(24)
  clip = await MobileCLIP.load(join(served.folder, "tiny"), { threads: 1 })
})
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})
afterAll(async () => {
  await clip?.dispose()
  await browser?.[Symbol.asyncDispose]()
  await served?.[Symbol.asyncDispose]()
})

async function fresh(...options: Parameters<AppBrowser["context"]>): Promise<BrowserContext> {
  const context = await browser.context(...options)
  context.setDefaultTimeout(110_000)
  contexts.push(context)
  return context
}

const bytesOf = ({ buffer }: GivenFile) => new Uint8Array(buffer)

/** On the page there are one decimal of a percent and three of a cosine. */
async function expectScores(
  page: Page,
  picture: GivenFile,
  words = labels,
  templates: readonly string[] = ["a photo of a {}."],
): Promise<void> {
  const [expected] = await clip.classify([bytesOf(picture)], words, { templates })
  const found = await barsIn(page.getByRole("tabpanel", { name: "See" }))
  expect(found.map(([label]) => label)).toEqual(expected!.map(({ label }) => label))
  found.forEach(([, score, cosine], i) => {
    expect(Math.abs(score - expected![i]!.score * 100)).toBeLessThan(0.06)
    expect(Math.abs(cosine! - expected![i]!.cosine)).toBeLessThan(0.0006)
  })
}

const writeLabels = (page: Page, words = labels) => page.getByLabel("Labels, one in each line").fill(words.join("\n"))

// -------------------------------------------------------------------------------------------------------------- See

test("See: a picture's scores are the library's, with other labels and prompts too, and are explained", async () => {
  const page = await openApp(await fresh(), served.url)
  await writeLabels(page)
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await expectScores(page, pictures[0]!)

  const [best] = await clip.classify([bytesOf(pictures[0]!)], labels, { top: 1 })
  await page.getByText("What do these figures say?").click()
  const explained = await textOf(page.locator("#panel-see .explain"))
  const [, cosine] = RegExp(`“${best![0]!.label}” has (-?\\d\\.\\d+)`).exec(explained)!
  expect(Math.abs(Number(cosine) - best![0]!.cosine)).toBeLessThan(0.0006)
  expect(explained).toContain(`multiplied by ${clip.logitScale!.toFixed(1)}`)

  await page.getByText("Prompts", { exact: true }).click()
  await page.getByLabel(/What each label is put into/).fill("a drawing of a {}\n{}")
  const [drawn] = await clip.classify([bytesOf(pictures[0]!)], labels, { templates: ["a drawing of a {}", "{}"] })
  const cosines = drawn!.map(({ label, cosine }) => [label, cosine] as const)
  const shown = async () =>
    (await barsIn(page.locator("#panel-see"))).map(([label, , cosine]) => [label, cosine!] as const)
  await expect.poll(async () => farthest(await shown(), cosines)).toBeLessThan(0.0006)

  await page.getByLabel(/What each label is put into/).fill("no place")
  expect(await textOf(page.getByRole("alert"))).toMatch(/the template "no place" has no \{\}.*What to do: write \{\}/s)
})

test("See: a model begins with words of what it was trained on, until others are written; the quickstart's has pictures", async () => {
  const folder = mkdtempSync(join(tmpdir(), "known-"))
  await exportModel(
    tinyModel(),
    { ...tinyInfo, name: "quickstart-student", license: "your own" },
    join(folder, "student"),
  )
  cpSync(join(root, "dist/app"), folder, { recursive: true })
  mkdirSync(join(folder, "app"))
  writeFileSync(join(folder, "app/config.json"), JSON.stringify({ models: [{ name: "s", url: "../student/" }] }))
  await using site = await StaticServer.start({ folder, base: "/some/path/" })
  const page = await openApp(await fresh(), site.address)
  const colours = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"]
  expect(await page.getByLabel("Labels, one in each line").inputValue()).toBe(colours.join("\n"))
  await page.getByRole("button", { name: "Look at the red star" }).click()
  await page.getByAltText("The picture red-star.jpg").waitFor()
  const buffer = readFileSync(join(root, "app/src/see/scenes/red-star.jpg"))
  await expectScores(page, { name: "red-star.jpg", mimeType: "image/jpeg", buffer }, colours, ["one {} object"])
  const about = await openTab(page, "About this model")
  const fact = (name: string) => textOf(about.locator(".facts > div", { hasText: name }))
  expect(await fact("Trained on")).toMatch(
    /rendered pictures of coloured shapes alone: they have never seen a photograph/,
  )
  expect(await fact("Licence of the weights")).toMatch(/your own: its weights were trained from nothing/)
  await openTab(page, "See")
  await writeLabels(page)
  await page.reload()
  await modelReady(page)
  expect(await page.getByLabel("Labels, one in each line").inputValue()).toBe(labels.join("\n"))
  rmSync(folder, { recursive: true })
})

test("See: the clipboard's picture is taken, and a dropped one; a file that is no picture is refused with what to do", async () => {
  const context = await fresh({ permissions: ["clipboard-read", "clipboard-write"] })
  const page = await openApp(context, served.url)
  await writeLabels(page)
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 64)
    const context = canvas.getContext("2d")!
    context.fillStyle = "rgb(0, 128, 128)"
    context.fillRect(0, 0, 64, 64)
    await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })])
  })
  await page.locator("#tab-see").press("Control+V")
  const teal = {
    width: 64,
    height: 64,
    channels: 3 as const,
    data: new Uint8Array(64 * 64 * 3).map((_, i) => (i % 3 ? 128 : 0)),
  }
  const [expected] = await clip.classify([teal], labels)
  const found = await barsIn(page.locator("#panel-see"))
  found.forEach(([label, score]) => {
    expect(Math.abs(score - expected!.find((one) => one.label === label)!.score * 100)).toBeLessThan(0.06)
  })

  await page.evaluate((base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }))
    for (const name of ["dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true }))
  }, pictures[2]!.buffer.toString("base64"))
  // The scores of the picture before went when this one came.
  await page.getByAltText("The picture dropped.jpg").waitFor()
  await expectScores(page, pictures[2]!)

  await page
    .getByLabel("Choose a picture")
    .setInputFiles({ name: "bad.jpg", mimeType: "image/jpeg", buffer: Buffer.from("x") })
  await expect.poll(() => textOf(page.getByRole("alert"))).toContain("bad.jpg")
  expect(await page.locator("#panel-see .bars").count()).toBe(0)
})

test("See: the camera is filmed until it is stopped, and the rate is measured", async () => {
  const page = await openApp(await fresh(), served.url)
  await writeLabels(page)
  await page.getByRole("button", { name: "Use the camera" }).click()
  await page.getByText(/pictures a second, from a frame of the camera to its scores/).waitFor()
  const shown = await textOf(page.getByText(/pictures a second/))
  // How many is the machine's.
  expect(Number.parseFloat(shown)).toBeGreaterThan(0)
  expect((await barsIn(page.locator("#panel-see"))).map(([label]) => label).sort()).toEqual(labels)
  await page.getByRole("button", { name: "Stop the camera" }).click()
  const isLive = () =>
    page.evaluate(() =>
      (document.querySelector("video")!.srcObject as MediaStream)
        .getTracks()
        .some(({ readyState }) => readyState === "live"),
    )
  await expect.poll(isLive).toBe(false)
})

// ----------------------------------------------------------------------------------------------------------- Search

async function expectFound(page: Page, query: string): Promise<void> {
  const vectors = await clip.encodeImages(pictures.map(bytesOf))
  const cosines = [...clip.similarity(await clip.encodeText(query), vectors)]
  const expected = pictures.map(({ name }, i) => [name, cosines[i]!] as const)
  const names = page.locator("#panel-search .found .name")
  const figures = page.locator("#panel-search .found .row .soft")
  const shown = async () => {
    const texts = await figures.allInnerTexts()
    return (await names.allInnerTexts()).map((name, i) => [name, Number(texts[i]?.split(" · ")[1])] as const)
  }
  await expect.poll(async () => farthest(await shown(), expected)).toBeLessThan(0.0006)
  const inOrder = (await shown()).map(([, cosine]) => cosine)
  expect(inOrder).toEqual(inOrder.toSorted((a, b) => b - a))
}

test("Search: the library's cosines for what was typed last; the next visit encodes nothing again", async () => {
  const context = await fresh()
  const page = await openApp(context, served.url)
  const panel = await openTab(page, "Search")
  const broken = { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("not a picture") }
  await panel.getByLabel("Add pictures …").setInputFiles([...pictures.slice(0, 9), broken, ...pictures.slice(9)])
  await panel.getByText("24 pictures to search").waitFor()
  await panel.getByText("1 file could not be read").click()
  expect(await panel.locator("details li").allInnerTexts()).toEqual([
    expect.stringContaining("broken.jpg is not a picture"),
  ])
  await panel.getByLabel("Look for").fill("a blue square")
  await panel.getByLabel("Look for").fill("a red circle")
  await expectFound(page, "a red circle")
  await panel.getByText("How is that decided?").click()
  expect(await textOf(panel.locator(".explain"))).toContain("each of the 24 pictures")

  const like = panel.getByRole("button", { name: "More like it: scene-3.jpg" })
  await like.click()
  await panel.getByText("Like scene-3.jpg").waitFor()
  await expect.poll(() => panel.locator(".found").count()).toBe(23)

  await page.reload()
  await modelReady(page)
  const again = await openTab(page, "Search")
  await again.getByLabel("Add pictures …").setInputFiles(pictures)
  await again.getByText("24 pictures to search, 24 known from before").waitFor()
  await again.getByLabel("Look for").fill("a yellow star")
  await expectFound(page, "a yellow star")
})

test("Search: a folder is walked, and encoding pauses and goes on", async () => {
  const page = await openApp(await fresh(), served.url)
  const panel = await openTab(page, "Search")
  const folder = mkdtempSync(join(tmpdir(), "album-"))
  mkdirSync(join(folder, "inner"))
  const many = Array.from({ length: 8 }, (_, copy) =>
    pictures.map(({ buffer }, i) => ({ path: `${copy}-${i}.jpg`, buffer })),
  ).flat()
  // A byte after a JPEG's end makes another file of the same picture.
  many.forEach(({ path, buffer }, i) => {
    writeFileSync(join(folder, i % 2 ? "inner" : "", path), Buffer.concat([buffer, Buffer.alloc(i)]))
  })
  // A fast machine would be through before the button is pressed: the 41st picture and those after it are read when the test
  // says so. Eight are encoded at a time, and those that were begun are ended.
  await page.evaluate(() => {
    const { arrayBuffer } = Blob.prototype
    const names = new Set<string>()
    const held = new Promise<void>((resolve) => Object.assign(globalThis, { letGo: resolve, names }))
    Blob.prototype.arrayBuffer = async function () {
      if (this instanceof File) names.add(this.name)
      if (names.size > 40) await held
      return arrayBuffer.call(this)
    }
  })
  const begun = () => page.evaluate(() => (globalThis as unknown as { names: Set<string> }).names.size)
  await panel.getByLabel("Choose a folder …").setInputFiles(folder)
  await expect.poll(begun).toBe(48)
  await panel.getByRole("button", { name: "Pause" }).click()
  await panel.getByText(/paused/).waitFor()
  const done = async () => Number.parseInt(await textOf(panel.locator("[role=status]").first()), 10)
  expect(await done()).toBe(40)
  await page.evaluate(() => (globalThis as unknown as { letGo(): void }).letGo())
  await expect.poll(done).toBe(48)
  // The next ones would have been begun before these were shown.
  expect(await begun()).toBe(48)
  await panel.getByRole("button", { name: "Go on" }).click()
  await panel.getByText(`${many.length} pictures to search`).waitFor()
  rmSync(folder, { recursive: true })
})

test("Search: a folder's handle is kept, and the folder is opened again on the next visit", async () => {
  const context = await fresh()
  // The page's own folder, which a browser gives without a dialog, stands for one that a user chose.
  await context.addInitScript(() => {
    const choose = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("album", { create: true })
    Object.assign(globalThis, { showDirectoryPicker: choose })
  })
  const page = await openApp(context, served.url)
  await page.evaluate(
    async (files) => {
      const album = await (await navigator.storage.getDirectory()).getDirectoryHandle("album", { create: true })
      const inner = await album.getDirectoryHandle("inner", { create: true })
      for (const [i, base64] of files.entries()) {
        const file = await (i % 2 ? inner : album).getFileHandle(`${i}.jpg`, { create: true })
        const writable = await file.createWritable()
        await writable.write(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)))
        await writable.close()
      }
    },
    pictures.slice(0, 9).map(({ buffer }) => buffer.toString("base64")),
  )
  const panel = await openTab(page, "Search")
  await panel.getByRole("button", { name: "Choose a folder …" }).click()
  await panel.getByText("9 pictures to search").waitFor()
  await page.reload()
  await modelReady(page)
  const again = await openTab(page, "Search")
  await again.getByRole("button", { name: "Open “album” again" }).click()
  await again.getByText("9 pictures to search, 9 known from before").waitFor()
  await again.getByLabel("Look for").fill("a circle")
  await again.locator(".found").nth(8).waitFor()
  expect((await again.locator(".found .name").allInnerTexts()).toSorted()).toEqual(
    Array.from({ length: 9 }, (_, i) => `${i}.jpg`),
  )
})

/** What the page shows of the server's hits: names with their cosines, in order. */
async function hitsIn(panel: Locator): Promise<string[]> {
  const [names, figures] = await Promise.all([
    panel.locator(".found .name").allInnerTexts(),
    panel.locator(".found .row .soft").allInnerTexts(),
  ])
  return names.map((name, i) => `${name} ${figures[i]?.split(" · ").at(-1)}`)
}

test("Search: the server's index by words, by one of its pictures, with its thumbnails; a server that goes away is told", async () => {
  await using made = await IndexFolder.make()
  for (const other of Array.from({ length: 50 }, (_, i) => i + 10)) await made.addPhoto(`more/${other}.jpg`, other)
  await made.grow()
  const server = await made.serve()
  const shownOf = async (body: object) =>
    (await made.search(server, { ...body, limit: 24 })).hits.map(
      ({ name, cosine }) => `${name.split("/").at(-1)} ${cosine.toFixed(3)}`,
    )
  const page = await openApp(await fresh({ serviceWorkers: "block" }), server.url)
  const panel = await openTab(page, "Search")
  await panel.getByLabel("Add pictures …").setInputFiles(pictures)
  await panel.getByText("24 pictures to search").waitFor()
  await panel.getByLabel(/Search the server's index/).check()
  const { model } = (await made.ask(server, "/v1/search/index")).value as { model: string }
  await panel.getByText(`55 pictures of Photos, searched on the server by the model “${model}”.`).waitFor()
  await panel.getByLabel("Look for").fill("a dog")
  await expect.poll(() => hitsIn(panel)).toEqual(await shownOf({ query: "a dog" }))
  const { matches, notes } = await made.search(server, { query: "a dog", limit: 24 })
  const verdict = await textOf(panel.locator(".verdict"))
  expect(verdict).toContain(matches === null ? "The nearest of 55 pictures" : matches === 0 ? "Nothing" : `${matches} `)
  for (const note of notes) await panel.getByText(note).waitFor()
  const widths = () =>
    panel
      .locator(".found img")
      .evaluateAll((all) => all.slice(0, 4).map((one) => (one as HTMLImageElement).naturalWidth))
  await expect.poll(async () => (await widths()).every((width) => width >= 90)).toBe(true)

  for (const count of [48, 55]) {
    await panel.getByRole("button", { name: "Show more" }).click()
    await expect.poll(() => panel.locator(".found").count()).toBe(count)
  }
  await panel.getByRole("button", { name: "More like it: snow.jpg" }).click()
  await panel.getByText("Like Photos/2024/snow.jpg").waitFor()
  const [snow] = (await made.search(server, { query: "a dog", names: ["snow.jpg"] })).hits
  await expect.poll(() => hitsIn(panel)).toEqual(await shownOf({ like: snow!.id }))

  // What decodes JPEGs comes from the server once; this page has no service worker that would keep it.
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await page.locator("#panel-see .bars").waitFor({ state: "attached" })
  await server.server[Symbol.asyncDispose]()
  await panel.getByLabel("Look for").fill("a cat")
  await expect
    .poll(() => textOf(panel.getByRole("alert")))
    .toMatch(/the server does not answer.*What to do: look whether it still runs/s)
  await expect.poll(() => panel.locator(".found").count()).toBe(0)
  await panel.getByLabel(/Search the server's index/).uncheck()
  await panel.locator(".found").nth(23).waitFor()
  await expectFound(page, "a cat")
})

/** What is enlarged, with the width of its picture when it has come; null: nothing is. */
async function enlargedIn(page: Page): Promise<{ name: string | null; natural: number; shown: number } | null> {
  return page.evaluate(() => {
    const dialog = document.querySelector<HTMLDialogElement>("dialog:modal")
    const picture = dialog?.querySelector("img")
    if (!dialog || !picture?.complete) return null
    const { width } = picture.getBoundingClientRect()
    return { name: dialog.getAttribute("aria-label"), natural: picture.naturalWidth, shown: width }
  })
}

test("Search: a picture that was found is enlarged; Escape, a click outside, Close and another tab close it", async () => {
  const page = await openApp(await fresh({ viewport: { width: 1000, height: 800 } }), served.url)
  const panel = await openTab(page, "Search")
  const large = await sharp({ create: { width: 1600, height: 500, channels: 3, background: "teal" } })
    .jpeg()
    .toBuffer()
  await panel
    .getByLabel("Add pictures …")
    .setInputFiles([...pictures.slice(0, 3), { name: "large.jpg", mimeType: "image/jpeg", buffer: large }])
  await panel.getByLabel("Look for").fill("a red circle")
  const enlarge = (name: string) => panel.getByRole("button", { name: `Enlarge: ${name}`, exact: true })
  const isGone = () => page.locator("dialog").waitFor({ state: "detached" })
  const hasFocus = (name: string) => enlarge(name).evaluate((button) => document.activeElement === button)

  await enlarge("large.jpg").click()
  await expect.poll(() => enlargedIn(page)).toMatchObject({ name: "large.jpg", natural: 1600 })
  const { shown } = (await enlargedIn(page))!
  expect(shown).toBeGreaterThan(900)
  expect(shown).toBeLessThanOrEqual(960)
  // What is below the dialog is not to be used meanwhile, and a click in it does not close it.
  await page.getByRole("dialog").getByRole("img", { name: "large.jpg" }).click()
  expect(await page.getByRole("dialog", { name: "large.jpg" }).count()).toBe(1)
  await page.keyboard.press("Escape")
  await isGone()
  await expect.poll(() => hasFocus("large.jpg")).toBe(true)

  await enlarge("scene-1.jpg").focus()
  await page.keyboard.press("Enter")
  await expect.poll(async () => (await enlargedIn(page))?.name).toBe("scene-1.jpg")
  expect((await enlargedIn(page))!.shown).toBeGreaterThanOrEqual(480)
  await page.mouse.click(5, 5)
  await isGone()

  await enlarge("scene-2.jpg").click()
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click()
  await isGone()
  await expect.poll(() => hasFocus("scene-2.jpg")).toBe(true)

  await enlarge("scene-2.jpg").click()
  await page.getByRole("dialog").waitFor()
  await page.goBack()
  await isGone()
  await page.getByRole("tab", { name: "Teach" }).click()
  expect(await page.getByRole("tabpanel").count()).toBe(1)
  await page.getByRole("tabpanel", { name: "Teach" }).waitFor()
})

// ---------------------------------------------------------------------------------------------------------- address

test("the open tab is in the address: a link and a reload open it, Back and Forward go from tab to tab", async () => {
  const page = await openApp(await fresh(), served.url)
  const openName = (one = page) => textOf(one.locator("[role=tab][aria-selected=true]"))
  const expectAt = (name: string, hash: string) =>
    expect.poll(async () => [await openName(), new URL(page.url()).hash]).toEqual([name, hash])
  await expectAt("See", "")
  await openTab(page, "Search")
  await expectAt("Search", "#search")
  await page.getByRole("tab", { name: "Search" }).click()
  await page.getByRole("tab", { name: "Search" }).press("ArrowRight")
  await expectAt("Teach", "#teach")
  await page.goBack()
  await expectAt("Search", "#search")
  await page.getByLabel("Look for").waitFor()
  await page.goBack()
  await expectAt("See", "")
  for (const name of ["Search", "Teach"]) {
    await page.goForward()
    await expectAt(name, `#${name.toLowerCase()}`)
  }
  await page.reload()
  await modelReady(page)
  await expectAt("Teach", "#teach")
  const shared = await openApp(await fresh(), `${served.url}/#search`)
  expect(await openName(shared)).toBe("Search")
  await shared.getByLabel("Add pictures …").setInputFiles(pictures.slice(0, 2))
  await shared.getByText("2 pictures to search").waitFor()
  const unknown = await openApp(await fresh(), `${served.url}/#nothing`)
  expect(await openName(unknown)).toBe("See")
})

test("Search: with tokens the browser brings what its user gave, and pictures of the index are shown", async () => {
  const token = "a token of enough letters"
  await using made = await IndexFolder.make()
  const server = await made.serve({ tokens: [token] })
  const page = await openApp(await fresh({ httpCredentials: { username: "anyone", password: token } }), server.url)
  const panel = await openTab(page, "Search")
  await panel.getByLabel(/Search the server's index/).check()
  await panel.getByText("5 pictures of Photos").waitFor()
  await panel.getByLabel("Look for").fill("snow")
  await expect.poll(() => panel.locator(".found").count()).toBe(5)
  const widths = () =>
    panel.locator(".found img").evaluateAll((all) => all.map((one) => (one as HTMLImageElement).naturalWidth))
  await expect.poll(async () => (await widths()).every((width) => width >= 90)).toBe(true)
  // The key in a thumbnail's address opens its larger copy as well.
  await panel.getByRole("button", { name: "Enlarge: snow.jpg" }).click()
  await expect.poll(async () => (await enlargedIn(page))?.natural).toBeGreaterThanOrEqual(90)
  expect((await enlargedIn(page))?.name).toBe("Photos/2024/snow.jpg")
})

// ------------------------------------------------------------------------------------------------------------ Teach

/** Even ones and odd ones, which nobody can tell apart but by chance, and a third group of plain teal. */
async function teach(page: Page) {
  const panel = await openTab(page, "Teach")
  const names = panel.getByLabel("Name")
  await names.nth(0).fill("even")
  await names.nth(1).fill("odd")
  for (const [name, rest] of [
    ["even", 0],
    ["odd", 1],
  ] as const)
    await panel
      .getByLabel(`Add pictures to ${name}`)
      .setInputFiles(pictures.slice(0, 20).filter((_, i) => i % 2 === rest))
  await panel.getByRole("button", { name: "Teach" }).click()
  await panel.getByText(/of 20 right/).waitFor()
  return panel
}

test("Teach: the test is the same as in Node; the saved head says the same in the page, in Node and on the command line", async () => {
  const context = await fresh({ acceptDownloads: true })
  const page = await openApp(context, served.url)
  const panel = await teach(page)
  const inOrder = [0, 1].flatMap((rest) => pictures.slice(0, 20).filter((_, i) => i % 2 === rest))
  const rows = await clip.encodeImages(inOrder.map(bytesOf))
  const vectors = inOrder.map((_, i) => rows.slice(i * dim, (i + 1) * dim))
  const expected = await trainOf(
    vectors,
    inOrder.map((_, i) => (i < 10 ? 0 : 1)),
    2,
  )
  const [low, high] = expected.interval.map((share) => `${(share * 100).toFixed(0)} %`)
  const said = await textOf(panel.locator("[aria-label=Test] p").first())
  expect(said).toContain(`${expected.right} of 20 right`)
  expect(said).toContain(`between ${low} and ${high}`)
  const wrong = inOrder.filter((_, i) => expected.judged[i]!.said !== (i < 10 ? 0 : 1)).map(({ name }) => name)
  expect(await panel.locator(".found.wrong .name").allInnerTexts()).toEqual(wrong)

  const download = page.waitForEvent("download")
  await panel.getByRole("button", { name: "Save the head" }).click()
  const file = join(served.folder, "head.json")
  await (await download).saveAs(file)
  const head = parseLabels(readFileSync(file, "utf8"), file)
  expect(head).toMatchObject({ model: "tiny", labels: ["even", "odd"] })
  const [scores] = await clip.classify([bytesOf(pictures[21]!)], head)
  const wanted = scores!.map(({ label, score }) => [label, score] as const)

  await panel.getByLabel("Try a picture …").setInputFiles(pictures[21]!)
  expectShares(
    (await barsIn(panel)).map(([label, score]) => [label, score / 100]),
    wanted,
    0.0006,
  )

  writeFileSync(join(served.folder, "tried.jpg"), pictures[21]!.buffer)
  const argv = [
    "bin/mobileclip.js",
    "classify",
    join(served.folder, "tried.jpg"),
    "--model",
    join(served.folder, "tiny"),
    "--baked",
    file,
    "--json",
  ]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root })
  const [line] = [JSON.parse(stdout)].flat() as [{ labels?: typeof scores }]
  const printed = (line.labels ?? (line as unknown as typeof scores))!
  expectShares(
    [printed].flat().map(({ label, score }) => [label, score]),
    wanted,
    1e-5,
  )

  const other = await openApp(await fresh(), served.url)
  const there = await openTab(other, "Teach")
  await there.getByLabel("Open a saved head …").setInputFiles(file)
  await there.getByLabel("Try a picture …").setInputFiles(pictures[21]!)
  expectShares(
    (await barsIn(there)).map(([label, score]) => [label, score / 100]),
    wanted,
    0.0006,
  )
  const foreign = JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), weights: "ab" })
  await there
    .getByLabel("Open a saved head …")
    .setInputFiles({ name: "other.json", mimeType: "application/json", buffer: Buffer.from(foreign) })
  expect(await textOf(other.getByRole("alert"))).toMatch(/made by other weights of tiny.*What to do/s)
})

function expectShares(
  found: readonly (readonly [string, number])[],
  wanted: readonly (readonly [string, number])[],
  most: number,
) {
  expect(found.map(([label]) => label)).toEqual(wanted.map(([label]) => label))
  for (const [i, [, share]] of found.entries()) expect(Math.abs(share - wanted[i]![1])).toBeLessThan(most)
}

test("Teach: groups stay after a reload, and what is missing is said", async () => {
  const context = await fresh()
  const page = await openApp(context, served.url)
  await teach(page)
  await page.reload()
  await modelReady(page)
  const panel = await openTab(page, "Teach")
  await expect
    .poll(() =>
      panel.getByLabel("Name").evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value)),
    )
    .toEqual(["even", "odd"])
  expect(await panel.getByRole("list", { name: "Pictures of odd" }).locator("li").count()).toBe(10)
  await panel.getByRole("button", { name: "Add a group" }).click()
  await panel.getByRole("button", { name: "Teach" }).click()
  expect(await textOf(page.getByRole("alert"))).toContain("“group 3” has no picture, and two are needed")
})

// ---------------------------------------------------------------------------------------------- About, and the model

test("About: what the model's files say, and what is kept, which goes when it is asked to", async () => {
  const page = await openApp(await fresh(), served.url)
  const panel = await openTab(page, "About this model")
  await panel.getByText(/Kept in this browser/).waitFor()
  const facts = Object.fromEntries(
    await panel
      .locator(".facts > div")
      .evaluateAll((rows) =>
        rows.map((row) => [row.querySelector("dt")!.textContent, row.querySelector("dd")!.textContent]),
      ),
  )
  const manifest = JSON.parse(readFileSync(join(served.folder, "tiny/mobileclip.json"), "utf8"))
  expect(facts["Licence of the weights"]).toBe("MIT")
  expect(facts["Trained on"]).toMatch(
    /^Its files do not say: .*do not say how many pairs of a picture and texts it saw/,
  )
  expect(facts.Vectors).toBe(`16 values; scale of the softmax ${manifest.logitScale.toFixed(2)}`)
  expect(facts.Threads).toBe(String(Math.min(4, await page.evaluate(() => navigator.hardwareConcurrency))))
  expect(facts["Computes on"]).toContain("WebAssembly")
  expect(facts.Files).toContain("onnx/vision_model.onnx")
  const kept = panel.locator("[aria-label='Kept in this browser'] li")
  await expect
    .poll(() => kept.allInnerTexts())
    .toContainEqual(expect.stringContaining(`${served.url}/app/models/tiny/: `))
  await panel.getByRole("button", { name: "Remove models and vectors" }).click()
  await panel.getByText(/of models were removed/).waitFor()
  await expect.poll(() => kept.allInnerTexts()).toContain("no model")
})

test("a graphics processor that computes wrongly is found out: the processor computes, and About says why", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wrong-"))
  await exportModel(tinyModel(), tinyInfo, join(folder, "wrong"))
  const path = join(folder, "wrong/mobileclip.json")
  const manifest = JSON.parse(readFileSync(path, "utf8"))
  for (const row of manifest.selfTest.image.values) row.reverse()
  writeFileSync(path, JSON.stringify(manifest))
  cpSync(join(root, "dist/app"), folder, { recursive: true })
  await using site = await StaticServer.start({ folder, base: "/some/path/" })
  await using graphics = await AppBrowser.launch(softwareWebgpu)
  const page = await (await graphics.context()).newPage()
  await page.goto(site.address)
  await page.getByLabel("Compute on").selectOption("webgpu")
  await page.getByLabel(/Address of a model's folder/).fill("./wrong/")
  await page.getByRole("button", { name: "Open" }).click()
  await modelReady(page)
  const panel = await openTab(page, "About this model")
  const row = panel.locator(".facts > div", { hasText: "Self-test" })
  expect(await textOf(row)).toMatch(/WebGPU failed its self-test \(cosine .*\): WASM computes/)
  expect(await textOf(panel.locator(".facts > div", { hasText: "Computes on" }))).toContain("WebAssembly")
  rmSync(folder, { recursive: true })
})

test("a model of files of this machine is opened", async () => {
  const page = await openApp(await fresh(), served.url)
  await page.getByRole("button", { name: "Another model" }).click()
  await page.getByLabel("A folder of this machine …").setInputFiles(join(served.folder, "tiny"))
  await modelReady(page)
  expect(await textOf((await openTab(page, "About this model")).locator(".facts"))).toContain(
    "from files of this machine",
  )
})

// ---------------------------------------------------------------------------------------------------------- offline

test("after the first visit the page opens without its server, and computes the same", async () => {
  const short = await ServedTiny.start()
  const context = await fresh()
  // Where its service worker is not there in three seconds, a page loads the runtime without it, which then is not kept.
  await context.addInitScript(() => {
    const { setTimeout } = globalThis
    const never = (work: () => void, milliseconds?: number) =>
      milliseconds === 3000 ? 0 : setTimeout(work, milliseconds)
    Object.assign(globalThis, { setTimeout: never })
  })
  const page = await openApp(context, short.url)
  await writeLabels(page)
  await page.getByLabel("Choose a picture").setInputFiles(pictures[1]!)
  await expectScores(page, pictures[1]!)
  await short[Symbol.asyncDispose]()
  await page.reload()
  await modelReady(page)
  expect(await page.getByLabel("Labels, one in each line").inputValue()).toBe(labels.join("\n"))
  await page.getByLabel("Choose a picture").setInputFiles(pictures[1]!)
  await expectScores(page, pictures[1]!)
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
})

test("a server with a token: the browser brings it for models too", async () => {
  const token = "a token of enough letters"
  await using guarded = await ServedTiny.start({ tokens: [token] })
  const page = await openApp(await fresh({ httpCredentials: { username: "anyone", password: token } }), guarded.url)
  expect(await textOf(page.locator(".model .status"))).toContain("tiny on the processor")
})

test("plain files below a path of another host; a new version waits, and takes over when the user agrees", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hosted-"))
  cpSync(join(root, "dist/app"), folder, { recursive: true })
  cpSync(join(served.folder, "tiny"), join(folder, "models/tiny"), { recursive: true })
  mkdirSync(join(folder, "app"))
  writeFileSync(
    join(folder, "app/config.json"),
    JSON.stringify({ models: [{ name: "small", url: "../models/tiny/" }] }),
  )
  await using site = await StaticServer.start({ folder, base: "/some/path/" })
  const context = await fresh()
  const page = await openApp(context, site.address)
  expect(await textOf(page.locator(".model .status"))).toContain("the processor, 1 thread")
  await page.evaluate(() => navigator.serviceWorker.ready)
  await writeLabels(page)
  appendFileSync(join(folder, "service-worker.js"), "\n// the next version\n")
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update())
  await page.getByText("A new version of this page is ready.").waitFor()
  expect(await page.getByLabel("Labels, one in each line").inputValue()).toBe(labels.join("\n"))
  const reloaded = page.waitForEvent("load")
  await page.getByRole("button", { name: "Reload with it" }).click()
  await reloaded
  await modelReady(page)
  expect(await page.getByLabel("Labels, one in each line").inputValue()).toBe(labels.join("\n"))
  expect(await page.getByText("A new version of this page is ready.").count()).toBe(0)
  rmSync(folder, { recursive: true })
})

// ------------------------------------------------------------------------------------------------- keyboard and axe

test("everything by the keyboard: tabs by arrows, files by Space and by Enter, words, results, a head", async () => {
  const page = await openApp(await fresh(), served.url)
  const focused = () =>
    page.evaluate(
      () =>
        document.activeElement!.getAttribute("aria-label") ??
        document.activeElement!.closest("label")?.textContent ??
        document.activeElement!.textContent,
    )
  const tabTo = async (name: string | RegExp) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab")
      const text = ((await focused()) ?? "").trim()
      if (typeof name === "string" ? text.startsWith(name) : name.test(text)) return
    }
    throw new Error(`Tab does not reach ${name}`)
  }
  let choosers = 0
  page.on("filechooser", () => choosers++)
  const chooseBy = async (key: "Space" | "Enter", files: readonly GivenFile[]) => {
    const chooser = page.waitForEvent("filechooser")
    await page.keyboard.press(key)
    await (await chooser).setFiles([...files])
  }
  await tabTo("See")
  await page.keyboard.press("ArrowRight")
  expect(await page.getByRole("tab", { name: "Search" }).getAttribute("aria-selected")).toBe("true")
  await page.keyboard.press("End")
  expect(await focused()).toBe("About this model")
  await page.keyboard.press("ArrowRight")
  expect(await focused()).toBe("See")
  await tabTo("Choose a picture")
  await chooseBy("Space", [pictures[0]!])
  await barsIn(page.locator("#panel-see"))

  await page.locator("#tab-see").focus()
  await page.keyboard.press("ArrowRight")
  await tabTo("Add pictures")
  await chooseBy("Enter", pictures)
  await page.getByText("24 pictures to search").waitFor()
  await tabTo("Look for")
  await page.keyboard.type("a star")
  await expectFound(page, "a star")
  await tabTo(/^More like /)
  await page.keyboard.press("Enter")
  await page.getByText(/^Like scene-/).waitFor()

  await page.locator("#tab-search").focus()
  await page.keyboard.press("ArrowRight")
  for (const [name, key, some] of [
    ["one", "Enter", pictures.slice(0, 4)],
    ["another", "Space", pictures.slice(4, 8)],
  ] as const) {
    await tabTo(`Add pictures to ${name}`)
    await chooseBy(key, some)
  }
  expect(choosers).toBe(4)
  await expect.poll(() => page.getByRole("button", { name: "Teach" }).isEnabled()).toBe(true)
  await tabTo("Teach")
  await page.keyboard.press("Enter")
  await page.getByText(/of 8 right/).waitFor()
})

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

test.each([
  ["light", 1200],
  ["dark", 1200],
  ["light", 390],
  ["dark", 390],
] as const)(
  "axe finds nothing in any tab, %s, %i pixels wide",
  async (colorScheme, width) => {
    const page = await openApp(await fresh({ colorScheme, viewport: { width, height: 850 } }), served.url)
    await page.evaluate(axe)
    const look = async (tab: string) => {
      const found = await page.evaluate(() => {
        const { axe } = globalThis as unknown as {
          axe: { run(options: object): Promise<{ violations: AxeViolation[] }> }
        }
        return axe.run({ resultTypes: ["violations"] })
      })
      expect(found.violations.map(({ id, nodes }) => [tab, id, nodes.map(({ html }) => html)])).toEqual([])
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      )
      expect(overflow).toBe(0)
    }
    await page.getByRole("button", { name: "Another model" }).click()
    await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
    await barsIn(page.locator("#panel-see"))
    await page.getByText("What do these figures say?").click()
    await page.getByText("Prompts", { exact: true }).click()
    await look("See")
    const search = await openTab(page, "Search")
    await search.getByLabel("Add pictures …").setInputFiles(pictures)
    await search.getByLabel("Look for").fill("a red circle")
    await search.locator(".found img").nth(5).waitFor()
    await look("Search")
    await search
      .getByRole("button", { name: /^Enlarge: / })
      .first()
      .click()
    await expect.poll(async () => (await enlargedIn(page))?.natural).toBeGreaterThan(0)
    await look("Search, a picture enlarged")
    await page.keyboard.press("Escape")
    await teach(page)
    await page.getByLabel("Try a picture …").setInputFiles(pictures[21]!)
    await barsIn(page.locator("#panel-teach"))
    await page
      .getByLabel("Open a saved head …")
      .setInputFiles({ name: "bad.json", mimeType: "application/json", buffer: Buffer.from("{}") })
    await page.getByRole("alert").waitFor()
    await look("Teach")
    await openTab(page, "About this model")
    await page.getByText("Kept in this browser").waitFor()
    await look("About")
  },
  240_000,
)

interface AxeViolation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

test("each page asked its own origin alone, posted nothing but words to an index, and broke no policy", () => {
  expect(browser.requests.length).toBeGreaterThan(10)
  const asked = browser.requests.map((all) => all.filter(({ url }) => !/^(blob|data):/.test(url)))
  for (const all of asked) {
    expect(all.length).toBeGreaterThan(5)
    expect(new Set(all.map(({ url }) => new URL(url).origin)).size).toBe(1)
  }
  const posted = asked.flat().filter(({ method }) => method !== "GET" && method !== "HEAD")
  expect(new Set(posted.map(({ url }) => new URL(url).pathname))).toEqual(new Set(["/v1/search"]))
  expect(browser.complaints).toEqual([])
})
