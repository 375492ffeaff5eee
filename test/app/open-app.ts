/** The built page in headless Chromium, on a server of the tiny model, with what the library says of the same pictures. */
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from "playwright-core"
import { renderScene } from "../../src/data/scenes/render.ts"
import { sampleScene } from "../../src/data/scenes/scene.ts"
import { launchChromium } from "../chromium.ts"

export interface GivenFile {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

/** Scenes as JPEG files: two kinds, which a head can tell apart or not. */
export async function scenePictures(count: number): Promise<GivenFile[]> {
  const scenes = Array.from({ length: count }, (_, i) => sampleScene(5, "train", i))
  const files = await Promise.all(scenes.map((scene) => renderScene(scene)))
  return files.map((bytes, i) => ({ name: `scene-${i}.jpg`, mimeType: "image/jpeg", buffer: Buffer.from(bytes) }))
}

/** A film without a camera. */
const fakeCamera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

/** A browser that writes down what pages ask for, and what they complain of. */
export class AppBrowser implements AsyncDisposable {
  /** All requests of each context, those of workers too. */
  readonly requests: { readonly url: string; readonly method: string }[][] = []
  /** Errors of scripts, and what broke the policy. */
  readonly complaints: string[] = []

  private constructor(private readonly browser: Browser) {}

  static async launch(args: readonly string[] = []): Promise<AppBrowser> {
    return new AppBrowser(await launchChromium({ args: [...fakeCamera, ...args] }))
  }

  async context(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext(options)
    // Playwright cannot answer the system's own dialog: folders are chosen as in browsers without it.
    await context.addInitScript(() => Reflect.deleteProperty(globalThis, "showDirectoryPicker"))
    const requests: { url: string; method: string }[] = []
    this.requests.push(requests)
    context.on("request", (request) => requests.push({ url: request.url(), method: request.method() }))
    context.on("weberror", (error) => this.complaints.push(String(error.error())))
    context.on("console", (message) => {
      if (/Content Security Policy|violates/.test(message.text())) this.complaints.push(message.text())
    })
    return context
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close()
  }
}

/**
 * A page whose model is open. Its file choosers are listened to as long as it lives: what a first listener switches on may reach a
 * busy page after the key that opens the chooser, which the browser then cancels by itself.
 */
export async function openApp(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  page.on("filechooser", () => {})
  await page.goto(url)
  await modelReady(page)
  return page
}

export function modelReady(page: Page): Promise<void> {
  return page.locator(".model .status strong").waitFor()
}

export async function openTab(page: Page, name: string): Promise<Locator> {
  await page.getByRole("tab", { name }).click()
  return page.getByRole("tabpanel", { name })
}

/** Label, score in percent, cosine: as they are on the page. */
export async function barsIn(panel: Locator): Promise<[label: string, score: number, cosine: number | null][]> {
  await panel.locator(".bars tbody tr").first().waitFor()
  const rows = await panel.locator(".bars tbody tr").all()
  return Promise.all(
    rows.map(async (row) => {
      const label = await textOf(row.locator("th"))
      const [score, cosine] = (await row.locator("td:not(.wide)").allInnerTexts()).map((text) =>
        Number.parseFloat(text),
      )
      return [label, score!, cosine ?? null] as [string, number, number | null]
    }),
  )
}

/** What is seen of it, as soon as it is there. */
export async function textOf(locator: Locator): Promise<string> {
  await locator.waitFor()
  const [text] = await locator.allInnerTexts()
  return text ?? ""
}

/**
 * The largest difference of a cosine that is shown from the one of the same name; Infinity where the names differ. Three decimals are
 * shown, and the last is rounded from another last bit than here.
 */
export function farthest(
  shown: readonly (readonly [string, number])[],
  expected: readonly (readonly [string, number])[],
): number {
  const cosines = new Map(expected)
  if (shown.length !== expected.length || shown.some(([name]) => !cosines.has(name))) return Number.POSITIVE_INFINITY
  return Math.max(...shown.map(([name, cosine]) => Math.abs(cosine - cosines.get(name)!)))
}
