/**
 * The page while a run of the quickstart goes on: what happens now, the stages with their times, curves so far, pictures. It is
 * written again and again, and a browser loads it again by itself, until the run ends.
 */
import { htmlDocument } from "../../../report/document.ts"
import { Html, html } from "../../../report/html.ts"
import { durationText, integer, percent } from "../../../report/numbers.ts"
import { figureList, type Term } from "../../../report/terms.ts"
import type { RunState, StageState, Work } from "./observer.ts"
import { type CaptionedPicture, picturesSection } from "./pictures.ts"
import { roughText, secondsLeft, secondsPerShare, shareDone } from "./time-left.ts"

/** Seconds after which a browser loads the page again. */
const refreshSeconds = 5

export interface GrowingPage {
  readonly run: RunState
  /** Figures of the trainings so far. */
  readonly curves: readonly Html[]
  readonly pictures: readonly CaptionedPicture[]
  /** The command line that goes on with the run. */
  readonly command: string
  readonly writtenAt: Date
}

/** A whole HTML document that loads nothing; only that of a run that goes on asks to be loaded again. */
export function growingPage(page: GrowingPage): string {
  const { run, curves, pictures } = page
  const body = html`${run.end ? endHeader(page, run.end) : nowHeader(page)}
${stagesSection(run)}
${curves.length > 0 ? html`<section><h2>How they learn</h2><div class="charts">${curves}</div></section>` : null}
${picturesSection(pictures)}
${new Html(mark)}`
  return htmlDocument(titleOf(run), body, style, run.end ? null : refreshSeconds)
}

/** Whether a page is that of a run that goes on, or that was stopped. */
export function isGrowing(page: string): boolean {
  return page.includes(mark)
}

/** Written at the end of each growing page. */
const mark = `<p class="growing" hidden></p>`

/** What the browser's tab shows. */
function titleOf(run: RunState): string {
  if (run.end) return `${run.end.kind}: mobileclip quickstart`
  return `${percent(shareDone(run), 0)} mobileclip quickstart`
}

// ----------------------------------------------------------------------------------------------------- header

function nowHeader({ run, writtenAt }: GrowingPage): Html {
  const now = stageNow(run)
  return html`
<header>
  <p class="eyebrow">mobileclip quickstart, running</p>
  <h1>${now?.happens ?? "It begins"}</h1>
  ${run.work && workBar(run.work)}
  ${figureList(figuresOf(run, now))}
  <p class="note">This page was written at ${writtenAt.toLocaleTimeString("en-GB")}, and is loaded again every ${refreshSeconds} seconds. If that time is long past, the command was stopped: the same command goes on where it was. At its end the report takes the place of this page.</p>
</header>`
}

function endHeader({ run, command }: GrowingPage, end: NonNullable<RunState["end"]>): Html {
  const at = stageNow(run)
  const where = at ? ` in "${at.name}", stage ${run.stages.indexOf(at) + 1} of ${run.stages.length},` : ""
  const what = end.kind === "interrupted" ? "It was interrupted" : "It failed"
  return html`
<header>
  <p class="eyebrow">mobileclip quickstart, ${end.kind}</p>
  <h1>${what}${where} after ${durationText(run.seconds)}</h1>
  ${end.kind === "failed" ? html`<p class="lede failure">${end.why}</p>` : null}
  <p>What is finished is kept, and trainings have checkpoints. ${end.kind === "failed" ? "When the cause is mended, the" : "The"} same command goes on where it was:</p>
  <pre><code>${command}</code></pre>
</header>`
}

function workBar(work: Work): Html {
  const share = work.total > 0 ? Math.min(1, work.done / work.total) : 0
  return html`
<div class="now"><div class="track"><i style="width:${percent(share)}"></i></div><p>${workText(work)}</p></div>`
}

function workText({ label, done, total, unit, detail, secondsLeft }: Work): string {
  const counted = total > 0 ? `${integer(done)} of ${integer(total)} ${unit}` : `${integer(done)} ${unit}`
  const left = secondsLeft === null ? [] : [`${durationText(secondsLeft)} left`]
  return [`${label}: ${counted}`, ...left, ...(detail === "" ? [] : [detail])].join(", ")
}

function figuresOf(run: RunState, now: StageState | null): Term[] {
  const left = secondsLeft(run)
  const resumed: Term[] = run.earlierSeconds > 0 ? [["before an interruption", durationText(run.earlierSeconds)]] : []
  return [
    ["stage", now ? `${run.stages.indexOf(now) + 1} of ${run.stages.length}` : "-"],
    ["so far", durationText(run.seconds)],
    ["left, about", left === null ? "-" : roughText(left)],
    ...resumed,
  ]
}

function stageNow({ stages }: RunState): StageState | null {
  return stages.find(({ state }) => state === "running") ?? null
}

// ----------------------------------------------------------------------------------------------------- stages

function stagesSection(run: RunState): Html {
  return html`
<section>
  <h2>Stages</h2>
  <table class="stages"><tbody>${run.stages.map((stage) => stageRow(stage, run))}</tbody></table>
</section>`
}

const marks = { done: "✓", running: "▶", waiting: "" } as const

function stageRow(stage: StageState, run: RunState): Html {
  const { name, happens, state } = stage
  return html`
<tr class="${state}"><td>${state === "running" && run.end ? html`<b>✗</b>` : marks[state]}</td><th scope="row">${name}<span>${happens}</span></th><td>${timeText(stage, run)}</td></tr>`
}

/** What it took, or about what it will take. */
function timeText({ state, seconds, share }: StageState, run: RunState): string {
  if (state !== "waiting" || seconds > 0) return durationText(seconds)
  const rate = run.end ? null : secondsPerShare(run)
  return rate === null ? "" : `about ${roughText(share * rate)}`
}

const style = `
.now .track { position: relative; height: 14px; background: var(--panel); border-radius: 2px; }
.now .track i { position: absolute; inset: 0 auto 0 0; background: var(--accent); border-radius: 2px; }
.now p { margin: 8px 0 0; font-size: 14px; color: var(--soft); font-variant-numeric: tabular-nums; }
.note { margin-top: 14px; font-size: 13px; color: var(--soft); }
.failure { color: var(--wrong); overflow-wrap: anywhere; white-space: pre-wrap; }
.stages { width: 100%; margin-top: 8px; }
.stages th, .stages td { padding: 7px 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
.stages td:first-child { width: 26px; color: var(--right); }
.stages td:last-child { padding-left: 12px; text-align: right; white-space: nowrap; }
.stages th span { display: block; font-size: 14px; font-weight: 400; color: var(--soft); }
.stages .running th, .stages .running td { font-weight: 600; }
.stages .running td:first-child { color: var(--accent); }
.stages b { color: var(--wrong); }
.stages .waiting th, .stages .waiting td { color: var(--soft); }
.group h3 { margin: 0; }
.group figure { margin-top: 10px; }
.scores { margin: 2px 0 0; font-size: 14px; color: var(--soft); }
.card img { border-color: var(--line); }
.captions { margin-top: 6px; font-size: 13px; line-height: 1.35; }
.captions dt { margin-top: 4px; font-size: 11px; color: var(--soft); }
.captions dd { overflow-wrap: anywhere; }
`
