import { expect, test } from "vitest"
import { html } from "../../../report/html.ts"
import type { RunEnd, StageState, Work } from "./observer.ts"
import { type GrowingPage, growingPage, isGrowing } from "./page.ts"
import { plannedStages } from "./stages.ts"

const hostile = `<script>alert("1")</script> & 'more'`

/** Stages before `running` are done in 60 s each. */
function stages(running: number): StageState[] {
  return plannedStages(1, []).map((stage, i) => ({
    ...stage,
    ...{ state: i < running ? "done" : i === running ? "running" : "waiting", seconds: i <= running ? 60 : 0 },
  }))
}

interface Moment {
  readonly running: number
  readonly work?: Work
  readonly end?: RunEnd
  readonly earlierSeconds?: number
}

function pageAt({ running, work, end, earlierSeconds = 0 }: Moment, more: Partial<GrowingPage> = {}): string {
  const run = { stages: stages(running), seconds: 60 * (running + 1), earlierSeconds }
  return growingPage({
    ...{ run: { ...run, work: work ?? null, end: end ?? null }, curves: [], pictures: [] },
    ...{ command: "npx mobileclip quickstart", writtenAt: new Date(2026, 0, 2, 13, 4, 5), ...more },
  })
}

const work = {
  label: "a + b",
  done: 2000,
  total: 8000,
  unit: "samples",
  detail: "loss 2.1 | loss 1.9",
  secondsLeft: 90,
}

test("a fresh page says what begins and what comes, and nothing that is not known", () => {
  const page = pageAt({ running: -1 })
  expect(page).toContain("<h1>It begins</h1>")
  for (const { name, happens } of plannedStages(1, []))
    expect(page).toContain(`>${name}<span>${happens}</span></th><td></td>`)
  expect(page).not.toMatch(/undefined|NaN|Infinity|\[object|How they learn|What the students will see/)
})

test("in a stage the page says what happens, how far it is, and about how long it and the others take", () => {
  const page = pageAt({ running: 1, work })
  expect(page).toContain("<h1>Two teachers learn from pictures with precise captions</h1>")
  expect(page).toContain("a + b: 2,000 of 8,000 samples, 1 min 30 s left, loss 2.1 | loss 1.9")
  expect(page).toContain(`<i style="width:25.0%"></i>`)
  expect(page).toMatch(/<tr class="done"><td>✓<\/td><th scope="row">render<.*<td>1 min 00 s<\/td><\/tr>/)
  expect(page).toMatch(/<tr class="waiting"><td><\/td><th scope="row">students<.*<td>about \d+ min<\/td>/)
  expect(page).toContain("written at 13:04:05")
  expect(page).toMatch(/<title>\d+% mobileclip quickstart<\/title>/)
})

test("while it runs a browser loads it again, and at an end it does not", () => {
  const refresh = `<meta http-equiv="refresh" content="5">`
  const running = pageAt({ running: 1, work })
  const interrupted = pageAt({ running: 1, work, end: { kind: "interrupted" } })
  const failed = pageAt({ running: 3, end: { kind: "failed", why: "no" } })
  expect([running, interrupted, failed].map((page) => page.includes(refresh))).toEqual([true, false, false])
  expect([running, interrupted, failed].map(isGrowing)).toEqual([true, true, true])
})

test("an interrupted run says how far it came, and how it goes on", () => {
  const page = pageAt({ running: 5, work, end: { kind: "interrupted" } })
  expect(page).toContain("<h1>It was interrupted in &#34;students&#34;, stage 6 of 9, after 6 min 00 s</h1>")
  expect(page).toContain("<pre><code>npx mobileclip quickstart</code></pre>")
  expect(page).toMatch(/<td><b>✗<\/b><\/td><th scope="row">students</)
  expect(page).toContain("<title>interrupted: mobileclip quickstart</title>")
  expect(page).not.toContain("<td>about")
})

test("a failed run says what failed", () => {
  const page = pageAt({ running: 3, end: { kind: "failed", why: `${hostile}; free some space` } })
  expect(page).toContain("It failed in &#34;reinforce&#34;, stage 4 of 9,")
  expect(page).toContain("&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62; &#38; &#39;more&#39;; free some space")
  expect(page).toContain("When the cause is mended, the same command goes on")
})

test("a run that goes on says how long it took before", () => {
  expect(pageAt({ running: 1 })).not.toContain("before an interruption")
  expect(pageAt({ running: 1, earlierSeconds: 95 })).toMatch(/before an interruption<\/dt><dd>1 min 35 s</)
})

test("texts are escaped, nothing is loaded, and curves and pictures have their sections", () => {
  const picture = { jpeg: Uint8Array.of(255, 216), careless: hostile, precise: "a red star", written: [hostile] }
  const page = pageAt(
    { running: 1, work: { ...work, label: hostile, detail: hostile } },
    { curves: [html`<p>curves</p>`], pictures: [picture], command: hostile },
  )
  expect(page).not.toContain("<script")
  expect(page).toContain("<p>curves</p>")
  expect(page).toContain("data:image/jpeg;base64,/9g=")
  expect(page).toContain("<dt>captioner</dt><dd>&#60;script&#62;")
  expect(page).toContain("The captioner had seen neither.")
  expect(page).not.toMatch(/https?:|url\(|@import|<link/)
  const before = pageAt({ running: 1 }, { pictures: [{ ...picture, written: [] }] })
  expect(before).not.toMatch(/<dt>captioner|had seen neither/)
})
