/** A page of a test site in headless Chromium. */
import type { Browser, Page } from "playwright-core"
import { launchChromium } from "../chromium.ts"
import type { TestedPage } from "./page.ts"
import { type SiteOptions, TestSite } from "./site.ts"

declare global {
  /** Inside of pages. */
  var mobileclip: TestedPage
}

/** WebGPU in software, where there is no graphics processor. */
export const softwareWebgpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]

export class TestPage implements AsyncDisposable {
  private constructor(
    readonly page: Page,
    private readonly browser: Browser,
    readonly site: TestSite,
  ) {}

  static async open(site: SiteOptions = {}, args: readonly string[] = []): Promise<TestPage> {
    const opened = await TestSite.open(site)
    const browser = await launchChromium({ args: [...args] })
    const page = await browser.newPage()
    await page.goto(opened.url)
    await page.waitForFunction(() => "mobileclip" in globalThis)
    return new TestPage(page, browser, opened)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close()
    await this.site[Symbol.asyncDispose]()
  }
}
