/**
 * How long a person waits for the page's first scores: in a browser that was never there, and when it comes again, with the page and
 * the model in its cache. `mobileclip serve` gives out both on loopback, so that downloads take what the
 * disk takes; the model has generated weights. Headless Chromium, WebAssembly, as many threads as the page takes.
 *
 *     npm run build && node dist/bench/page.js --picture photo.jpg [--model mobileclip2-s0] [--rounds 3]
 */
import { parseArgs } from "node:util"
import type { BrowserContext } from "playwright-core"
import { median } from "../src/core/arrays/quantile.ts"
import { AppBrowser, barsIn, modelReady } from "../test/app/open-app.ts"
import { generatedModel, inOwnFolder, startServer } from "./serve/start.ts"

const { values: options } = parseArgs({
  options: {
    picture: { type: "string" },
    model: { type: "string", default: "mobileclip2-s0" },
    rounds: { type: "string", default: "3" },
  },
})

interface Visit {
  /** Seconds from the address to an open model. */
  readonly open: number
  /** Seconds from the address to the scores of a picture that is chosen as soon as the model is open, among ten labels. */
  readonly scores: number
}

async function main(): Promise<void> {
  const { picture, model, rounds } = options
  if (picture === undefined) throw new Error("name a photograph with --picture")
  await inOwnFolder(async (folder) => {
    await using server = await startServer(await generatedModel(folder, model))
    await using browser = await AppBrowser.launch()
    const [first, again]: [Visit[], Visit[]] = [[], []]
    for (let round = 0; round < Number(rounds); round++) {
      const context = await browser.context()
      first.push(await visit(context, server.url, picture))
      again.push(await visit(context, server.url, picture))
      await context.close()
    }
    console.log(`${model}, medians of ${rounds} rounds`)
    tell("first visit", first)
    tell("again, cached", again)
  })
}

async function visit(context: BrowserContext, url: string, picture: string): Promise<Visit> {
  const page = await context.newPage()
  const began = performance.now()
  const since = () => (performance.now() - began) / 1000
  await page.goto(url)
  await modelReady(page)
  const open = since()
  await page.getByLabel("Labels, one in each line").fill(labels.join("\n"))
  await page.getByLabel("Choose a picture").setInputFiles(picture)
  await barsIn(page.getByRole("tabpanel", { name: "See" }))
  const scores = since()
  // The page is kept for times without a network by then.
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready
  })
  await page.close()
  return { open, scores }
}

const labels = ["cat", "dog", "bird", "fish", "horse", "car", "ship", "tree", "house", "person"]

function tell(name: string, visits: readonly Visit[]): void {
  const [open, scores] = [visits.map((each) => each.open), visits.map((each) => each.scores)]
  console.log(
    `${name}: model open after ${median(open).toFixed(1)} s, first scores after ${median(scores).toFixed(1)} s`,
  )
}

await main()
