/** A server that wants tokens, in a browser: once the page has asked for the token, its searches and pictures need no more. */
import { expect, test } from "vitest"
import { launchChromium } from "../../test/chromium.ts"
import { IndexFolder } from "../../test/served-index.ts"

const token = "a token of enough letters"

test("a browser that knows the token for the page's settings brings it to a search, and shows what that finds", async () => {
  await using made = await IndexFolder.make()
  const { url } = await made.serve({ tokens: [token] })
  await using browser = await launchChromium()
  const page = await browser.newPage()
  page.setDefaultTimeout(100_000)
  // As if its user had typed it where the page asks for its settings.
  const asked = await page.goto(url.replace("//", `//anyone:${encodeURIComponent(token)}@`).concat("/app/config.json"))
  expect(await asked?.json()).toMatchObject({ index: true })
  await page.goto(`${url}/`)
  const found = await page.evaluate(async () => {
    const headers = { "Content-Type": "application/json" }
    const body = JSON.stringify({ query: "x", limit: 2 })
    const answer = await fetch("./v1/search", { method: "POST", headers, body })
    const { hits } = (await answer.json()) as { hits: { thumbnail: string }[] }
    const widths = hits.map(async ({ thumbnail }) => {
      const image = new Image()
      image.src = thumbnail
      await image.decode()
      return image.naturalWidth
    })
    return { status: answer.status, widths: await Promise.all(widths) }
  })
  expect(found).toEqual({ status: 200, widths: [expect.any(Number), expect.any(Number)] })
  for (const width of found.widths) expect(width).toBeGreaterThan(16)
})
