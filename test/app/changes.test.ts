/** What the page shows when a picture, a model, a tab or a group changes: nothing of before may pass for what is there now. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { BrowserContext, Locator, Page } from "playwright-core"
import sharp from "sharp"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { MobileCLIP } from "../../src/weights/clip-node.ts"
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

const builtPage = fileURLToPath(new URL("../../dist/app", import.meta.url))
const labels = ["circle", "square", "star"]

/** Plain files with two models, whose vectors have the same length, and the switch of an index that is not there. */
let folder: string
let site: StaticServer
let browser: AppBrowser
let pictures: GivenFile[]
let clips: Record<"first" | "second", MobileCLIP>
const contexts: BrowserContext[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "changes-"))
  cpSync(builtPage, folder, { recursive: true })
  await exportModel(tinyModel(), { ...tinyInfo, name: "first" }, join(folder, "first"))
  await exportModel(tinyModel({ layers: 2 }), { ...tinyInfo, name: "second" }, join(folder, "second"))
  mkdirSync(join(folder, "app"))
  const models = ["first", "second"].map((name) => ({ name, url: `../${name}/` }))
  writeFileSync(join(folder, "app/config.json"), JSON.stringify({ models, index: true }))
  site = await StaticServer.start({ folder, base: "/some/path/" })
  browser = await AppBrowser.launch()
  pictures = await scenePictures(12)
  clips = {
    first: await MobileCLIP.load(join(folder, "first"), { threads: 1 }),
    second: await MobileCLIP.load(join(folder, "second"), { threads: 1 }),
  }
})
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})
afterAll(async () => {
  for (const clip of Object.values(clips ?? {})) await clip.dispose()
  await browser?.[Symbol.asyncDispose]()
  await site?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function fresh(...options: Parameters<AppBrowser["context"]>): Promise<BrowserContext> {
  const context = await browser.context(...options)
  context.setDefaultTimeout(110_000)
  contexts.push(context)
  return context
}

async function openSite(): Promise<Page> {
  return openApp(await fresh(), site.address)
}

interface Shown {
  readonly model: string
  readonly alert: string
  readonly isBusy: boolean
  /** What is said of the waiting, where it is seen. */
  readonly note: string
  readonly picture: string
  /** The labels with their scores. */
  readonly bars: string
}

/** All that a part of the page shows from now on, one for each change: some states are there for too short a time to wait for. */
async function everyShown(part: Locator): Promise<() => Promise<Shown[]>> {
  const shown = await part.evaluateHandle((panel) => {
    const all: Shown[] = []
    const look = () => {
      const text = (selector: string) => panel.querySelector(selector)?.textContent ?? ""
      all.push({
        model: text(".model .status strong"),
        alert: text("[role=alert]"),
        isBusy: panel.querySelector("[aria-busy=true]") !== null,
        note: text(".computing:not([hidden])"),
        picture: panel.querySelector<HTMLImageElement>("img[alt^='The picture']")?.alt ?? "",
        bars: text(".bars"),
      })
    }
    new MutationObserver(look).observe(panel, { subtree: true, childList: true, characterData: true, attributes: true })
    return all
  })
  return () => shown.evaluate((all) => all)
}

const pdf = { name: "notes.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7") }
const broken = { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("not a picture") }

// ------------------------------------------------------------------------------------------------------ See, and models

test("a turned photograph is computed as it is shown: upright", async () => {
  const stored = sharp(pictures[0]!.buffer).resize(96, 48, { fit: "fill" })
  const buffer = await stored.clone().withMetadata({ orientation: 6 }).png().toBuffer()
  const { data, info } = await sharp(buffer).rotate().removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const upright = { width: info.width, height: info.height, channels: 3 as const, data: new Uint8Array(data) }
  expect([info.width, info.height, info.channels]).toEqual([48, 96, 3])
  const page = await openSite()
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await page.getByLabel("Choose a picture").setInputFiles({ name: "turned.png", mimeType: "image/png", buffer })
  const [expected] = await clips.first.classify([upright], labels)
  const found = await barsIn(page.locator("#panel-see"))
  for (const [label, , cosine] of found)
    expect(Math.abs(cosine! - expected!.find((one) => one.label === label)!.cosine)).toBeLessThan(0.0006)
})

test("an error of another picture goes with it, and what is said of two scores is their ratio", async () => {
  const page = await openSite()
  const see = page.locator("#panel-see")
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await page.getByLabel("Choose a picture").setInputFiles(broken)
  await expect.poll(() => textOf(see.getByRole("alert"))).toMatch(/broken\.jpg is not .*What to do: export it again/s)
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await see.getByRole("alert").waitFor({ state: "detached" })
  await barsIn(see)
  const [best, second] = (await clips.first.classify([new Uint8Array(pictures[0]!.buffer)], labels))[0]!
  await page.getByText("What do these figures say?").click()
  const ratio = Number(/its score ([\d.]+) times as large/.exec(await textOf(see.locator(".explain")))![1])
  expect(Math.abs(ratio - best!.score / second!.score)).toBeLessThan(0.06)
})

test("scores go with the picture that they are of, and are marked while others are computed", async () => {
  const page = await openSite()
  const see = page.locator("#panel-see")
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await see.locator("[aria-busy=false] .bars").waitFor()
  const shown = await everyShown(see)
  const things = Array.from({ length: 40 }, (_, i) => `sort ${i} of it`)
  await page.getByLabel("Labels, one in each line").fill(things.join("\n"))
  await see.locator("[aria-busy=false] .bars", { hasText: "sort 7 of it" }).waitFor()
  const [first, second] = ["scene-0", "scene-1"]
  const waiting = (await shown()).filter(({ isBusy, bars }) => isBusy && bars !== "" && !bars.includes("sort 7 of it"))
  expect(waiting).not.toEqual([])
  for (const state of waiting)
    expect(state).toMatchObject({ note: "Computing …", picture: expect.stringContaining(first) })
  await page.getByLabel("Choose a picture").setInputFiles(pictures[1]!)
  await page.getByAltText(`The picture ${second}.jpg`).waitFor()
  await see.locator("[aria-busy=false] .bars").waitFor()
  const others = (await shown()).filter(({ picture }) => picture.includes(second))
  expect(others[0]).toMatchObject({ isBusy: true, bars: "" })
  expect(others.filter(({ isBusy, bars }) => isBusy && bars !== "")).toEqual([])
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await see.locator("[aria-busy=false] .bars", { hasText: "circle" }).waitFor()
  expect((await barsIn(see)).map(([label]) => label).sort()).toEqual(labels)
})

test("what is wrong with words is said as long as they are there", async () => {
  const page = await openSite()
  const see = page.locator("#panel-see")
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await page.getByLabel("Labels, one in each line").fill("")
  await see.getByText("there are no labels to choose from").waitFor()
  const shown = await everyShown(see)
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await see.locator("[aria-busy=false] .bars", { hasText: "circle" }).waitFor()
  const waiting = (await shown()).filter(({ isBusy }) => isBusy)
  expect(waiting).not.toEqual([])
  expect(waiting.filter(({ alert }) => alert !== "")).toEqual([])
})

test("a camera goes on with another model: without the scores of the one before, nor that it was disposed of", async () => {
  const page = await openSite()
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await page.getByRole("button", { name: "Use the camera" }).click()
  await barsIn(page.locator("#panel-see"))
  const shown = await everyShown(page.locator("body"))
  await page.getByRole("button", { name: "Another model" }).click()
  await page.getByRole("button", { name: "second" }).click()
  const ofSecond = async () => (await shown()).filter(({ model }) => model === "second")
  await expect.poll(async () => (await ofSecond()).filter(({ bars }) => bars !== "")).not.toEqual([])
  expect((await shown()).filter(({ alert }) => alert !== "")).toEqual([])
  expect((await ofSecond())[0]).toMatchObject({ bars: "" })
})

test("a model that cannot be opened leaves the one that is open, which goes on", async () => {
  const page = await openSite()
  await page.getByRole("button", { name: "Another model" }).click()
  await page.getByLabel(/Address of a model's folder/).fill("./nothing/")
  await page.getByRole("button", { name: "Open", exact: true }).click()
  await expect
    .poll(() => textOf(page.getByRole("alert")))
    .toMatch(/there is no model at .*\/nothing\/.*What to do: a model is/s)
  expect(await textOf(page.locator(".model .status"))).toContain("first on the processor")
  await page.getByLabel("Choose a picture").setInputFiles(pictures[0]!)
  await barsIn(page.locator("#panel-see"))
})

test("a server whose token was not given is told with what to do; one of its own models alone asks for no address", async () => {
  const token = "a token of enough letters"
  await using guarded = await ServedTiny.start({ tokens: [token] })
  const page = await (await fresh({ httpCredentials: { username: "anyone", password: "wrong" } })).newPage()
  await page.goto(guarded.url)
  await page.getByText(/wants a token.*reload the page.*token as the\s+password/).waitFor()
  expect(await page.getByLabel(/Address of a model's folder/).count()).toBe(0)
  const other = await openApp(await fresh({ httpCredentials: { username: "anyone", password: token } }), guarded.url)
  await other.getByRole("button", { name: "Another model" }).click()
  await other.getByLabel("A folder of this machine …").waitFor()
  expect(await other.getByLabel(/Address of a model's folder/).count()).toBe(0)
})

test("all tabs are whole, whichever is open, on screens of 360 and of 320 pixels", async () => {
  const page = await openApp(await fresh({ viewport: { width: 360, height: 740 } }), site.address)
  const tabs = await page.getByRole("tab").all()
  // With its style: what has none always fits.
  expect(await page.getByRole("tablist").evaluate((list) => getComputedStyle(list).display)).toBe("flex")
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 740 })
    for (const opened of tabs) {
      await opened.click()
      const list = (await page.getByRole("tablist").boundingBox())!
      for (const tab of tabs) {
        const box = (await tab.boundingBox())!
        expect(box.x).toBeGreaterThanOrEqual(list.x)
        expect(box.x + box.width).toBeLessThanOrEqual(list.x + list.width)
      }
    }
  }
})

// --------------------------------------------------------------------------------------------------------------- Search

async function expectFoundBy(page: Page, model: "first" | "second", query: string): Promise<void> {
  const clip = clips[model]
  const vectors = await clip.encodeImages(pictures.map(({ buffer }) => new Uint8Array(buffer)))
  const cosines = [...clip.similarity(await clip.encodeText(query), vectors)]
  const expected = pictures.map(({ name }, i) => [name, cosines[i]!] as const)
  const shown = async () => {
    const names = await page.locator("#panel-search .found .name").allInnerTexts()
    const figures = await page.locator("#panel-search .found .row .soft").allInnerTexts()
    return names.map((name, i) => [name, Number(figures[i]?.split(" · ").at(-1))] as const)
  }
  await expect.poll(async () => farthest(await shown(), expected)).toBeLessThan(0.0006)
}

test("Search: another model compares its own vectors", async () => {
  const page = await openSite()
  const panel = await openTab(page, "Search")
  await panel.getByLabel("Add pictures …").setInputFiles(pictures)
  await panel.getByLabel("Look for").fill("a red circle")
  await expectFoundBy(page, "first", "a red circle")
  await page.getByRole("button", { name: "Another model" }).click()
  await page.getByRole("button", { name: "second" }).click()
  await page.getByText("second on the processor").waitFor()
  await expectFoundBy(page, "second", "a red circle")
})

test("Search: files that are no pictures are named, HEIC with what to do; few pictures have no z; another source is not like the last", async () => {
  const page = await openSite()
  const panel = await openTab(page, "Search")
  await panel.getByLabel("Add pictures …").setInputFiles([pdf])
  expect(await textOf(page.getByRole("alert"))).toBe(
    "notes.pdf is not a picture. JPEG, PNG, WebP, AVIF and GIF files are read.",
  )
  const heic = { name: "IMG_1.HEIC", mimeType: "image/heic", buffer: Buffer.from("....ftypheic") }
  await panel.getByLabel("Add pictures …").setInputFiles([...pictures.slice(0, 3), heic, broken])
  await panel.getByText("3 pictures to search").waitFor()
  expect(await page.getByRole("alert").count()).toBe(0)
  await panel.getByText("2 files could not be read").click()
  expect(await textOf(panel.getByText(/^IMG_1\.HEIC: /))).toMatch(/is HEIC, .* export it as JPEG$/)
  await panel.getByLabel("Add pictures …").setInputFiles({ ...pictures[3]!, name: "broken.jpg" })
  await panel.getByText("4 pictures to search").waitFor()
  await panel.getByLabel("Look for").fill("a star")
  await panel.locator(".found").nth(3).waitFor()
  expect((await panel.locator(".found .row .soft").allInnerTexts()).join()).not.toContain("z")
  await panel.getByRole("button", { name: "More like it: scene-1.jpg" }).click()
  await panel.getByText("Like scene-1.jpg").waitFor()
  await panel.getByLabel(/Search the server's index/).check()
  await panel.getByText("Like scene-1.jpg").waitFor({ state: "detached" })
})

// ---------------------------------------------------------------------------------------------------------------- Teach

async function teach(page: Page) {
  const panel = await openTab(page, "Teach")
  await panel.getByLabel("Add pictures to one", { exact: true }).setInputFiles([...pictures.slice(0, 5), broken, pdf])
  await panel.getByLabel("Add pictures to another").setInputFiles(pictures.slice(5, 10))
  await panel.getByRole("button", { name: "Teach" }).click()
  await panel.getByText(/of 10 right/).waitFor()
  return panel
}

test("Teach: what cannot be read is named and does not count; a change marks test and head as old; a group goes after a question", async () => {
  const page = await openSite()
  const panel = await openTab(page, "Teach")
  await panel.getByLabel("Add pictures to one", { exact: true }).setInputFiles([pdf])
  expect(await textOf(page.getByRole("alert"))).toContain("notes.pdf is not a picture.")
  await teach(page)
  await panel.getByText(/Left out: broken\.jpg is not a picture/).waitFor()
  expect(await panel.getByText(/^5 pictures/).count()).toBe(2)
  const saving = panel.getByRole("button", { name: "Save the head" })
  expect(await saving.isEnabled()).toBe(true)
  await panel.getByText("mobileclip classify photos --model MODEL --baked head.json --orientation apply").waitFor()
  await panel.getByLabel("Name").first().fill("first of two")
  await panel.getByText(/The groups have changed since/).waitFor()
  expect(await saving.isEnabled()).toBe(false)
  await panel.getByLabel("Name").first().fill("one")
  await panel.getByText(/The groups have changed since/).waitFor({ state: "detached" })

  await panel.getByRole("button", { name: "Add a group" }).click()
  const remove = panel.getByRole("button", { name: "Remove the group one" })
  await remove.click()
  await panel.getByText("Remove one with 6 pictures?").waitFor()
  await panel.getByRole("button", { name: "Keep" }).click()
  expect(await panel.getByLabel("Name").count()).toBe(3)
  await remove.click()
  await panel.getByRole("button", { name: "Remove it" }).click()
  await expect.poll(() => panel.getByLabel("Name").count()).toBe(2)
})

test("Teach: groups are the same in two tabs of a browser, and go only by their own button", async () => {
  const context = await fresh()
  const [one, other] = [await openApp(context, site.address), await openApp(context, site.address)]
  const names = (page: Page) =>
    page.getByLabel("Name").evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value))
  await teach(one)
  const there = await openTab(other, "Teach")
  await expect.poll(() => there.getByRole("list", { name: "Pictures of another" }).locator("li").count()).toBe(5)
  await there.getByLabel("Name").first().fill("from the other")
  await expect.poll(() => names(one)).toEqual(["from the other", "another"])
  await one.getByLabel("Name").nth(1).fill("from the one")
  await expect.poll(() => names(other)).toEqual(["from the other", "from the one"])
  await one.getByText(/of 10 right/).waitFor()

  const about = await openTab(one, "About this model")
  await about.getByText("2 groups of Teach with 11 pictures").waitFor()
  await about.getByRole("button", { name: "Remove models and vectors" }).click()
  await about.getByText(/of models were removed/).waitFor()
  await one.reload()
  await modelReady(one)
  await openTab(one, "Teach")
  await expect.poll(() => names(one)).toEqual(["from the other", "from the one"])
  await openTab(one, "About this model")
  await about.getByRole("button", { name: "Remove the groups of Teach" }).click()
  await about.getByRole("button", { name: "Remove them" }).click()
  await about.getByText("The groups of Teach were removed.").waitFor()
  await expect.poll(() => names(other)).toEqual(["one", "another"])
  await one.reload()
  await modelReady(one)
  expect(await names(one)).toEqual(["one", "another"])
})
