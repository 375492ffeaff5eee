import { afterEach, expect, test, vi } from "vitest"
import { findChromium, launchChromium } from "./chromium.ts"

afterEach(() => vi.unstubAllEnvs())

test("a missing Chromium is told with what to install", () => {
  vi.stubEnv("CHROME_PATH", "")
  vi.stubEnv("PATH", "/nowhere")
  expect(findChromium).toThrow(/apt-get install chromium/)
  vi.stubEnv("CHROME_PATH", "/nowhere/chromium")
  expect(findChromium).toThrow(/CHROME_PATH is \/nowhere\/chromium/)
})

test("a page computes, and reaches no other host", async () => {
  await using browser = await launchChromium()
  const page = await browser.newPage()
  expect(await page.evaluate(() => 6 * 7)).toBe(42)
  await expect(page.goto("http://example.invalid/")).rejects.toThrow("ERR_NAME_NOT_RESOLVED")
})
