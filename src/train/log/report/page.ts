/** The page of a run: how far it is, what it learned, how fast, on what, and by which recipe. */
import { Html, html } from "../../../report/html.ts"
import { style } from "../../../report/style.ts"
import { lossWeights } from "../../recipe/decided.ts"
import { type EvaluationEntry, isStep, type StepEntry, totalLoss } from "../entries.ts"
import { type Chart, chartFigure } from "./chart-figure.ts"
import { curveSections, zeroShotSection } from "./curves.ts"
import type { TrainingReport } from "./report.ts"
import { samplesSection } from "./samples.ts"

/** A whole HTML document that loads nothing. */
export async function reportPage(report: TrainingReport): Promise<string> {
  const steps = report.entries.filter(isStep)
  const evaluations = report.entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${report.name}: training</title>
<style>${new Html(style + ownStyle)}</style>
</head>
<body>
<main>
${headline(report, steps, evaluations)}
${await zeroShotSection(evaluations, report.chance ?? {})}
${(await curveSections(steps)).map(chartSection)}
${samplesSection(report.samples)}
${recipeSection(report)}
</main>
</body>
</html>
`
  return page.text
}

const ownStyle = `
.seen { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 22px 16px; margin-top: 16px; }
.seen figure { min-width: 0; }
.seen img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--panel); border-radius: 3px; }
.seen p { margin: 6px 0 0; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; }
.seen .synthetic { color: var(--soft); border-left: 2px solid var(--accent); padding-left: 7px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); gap: 28px 24px; margin-top: 16px; }
.charts .wide { grid-column: 1 / -1; }
.charts .narrow { grid-column: 1 / -1; }
.charts figcaption { font-size: 13px; color: var(--soft); margin-bottom: 4px; }
.charts + table { margin-top: 20px; }
.chart text { fill: var(--soft); }
.recipe td { padding: 3px 24px 3px 0; vertical-align: top; overflow-wrap: anywhere; }
.recipe td:last-child { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 14px; }
.recipe tr.first td { border-top: 1px solid var(--line); }
.recipe .key { color: var(--soft); }
@media (max-width: 620px) { .seen { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
`

function headline(report: TrainingReport, steps: readonly StepEntry[], evaluations: readonly EvaluationEntry[]): Html {
  const last = steps.at(-1)
  const best = Math.max(...evaluations.map(({ average }) => average))
  const state =
    (last?.step ?? 0) >= report.steps ? "finished" : `at step ${integer(last?.step ?? 0)} of ${integer(report.steps)}`
  const figures = [
    ["pairs seen", integer(last?.samplesSeen ?? 0)],
    ["loss", last ? totalLoss(last).toFixed(3) : "-"],
    ...(evaluations.length > 0 ? [["best zero-shot average", `${(100 * best).toFixed(1)}%`]] : []),
    ["pairs a second", last ? integer(samplesPerSecond(steps)) : "-"],
    ["waiting for data", last ? `${(100 * dataWait(steps)).toFixed(1)}%` : "-"],
  ]
  return html`
<header>
  <p class="eyebrow">mobileclip train, ${state}</p>
  <h1>${report.name}</h1>
  <p class="lede">${report.recipe.model}, ${lossText(report)}, ${integer(report.recipe.batch.size)} pairs a step.</p>
  <dl class="figures">${figures.map(([term, value]) => html`<div><dt>${term!}</dt><dd>${value!}</dd></div>`)}</dl>
</header>`
}

function lossText({ recipe }: TrainingReport): string {
  const { kind } = recipe.loss
  const names = { clip: "contrastive loss", distill: "distillation", siglip: "sigmoid loss", coca: "CoCa's losses" }
  return kind === "distill" ? `${names[kind]} with weights ${lossWeights(recipe).join(" and ")}` : names[kind]
}

/** Over the whole run, by the time of its steps. */
function samplesPerSecond(steps: readonly StepEntry[]): number {
  const { step, samplesSeen } = steps.at(-1)!
  return (samplesSeen / step) * (steps.length / sum(steps, ({ seconds }) => seconds))
}

function dataWait(steps: readonly StepEntry[]): number {
  return sum(steps, ({ dataSeconds }) => dataSeconds) / sum(steps, ({ seconds }) => seconds)
}

function sum(steps: readonly StepEntry[], value: (step: StepEntry) => number): number {
  return steps.reduce((total, step) => total + value(step), 0)
}

function chartSection({ title, text, charts }: { title: string; text: string; charts: readonly Chart[] }): Html {
  return html`
<section>
  <h2>${title}</h2>
  <p>${text}</p>
  <div class="charts">${charts.map(chartFigure)}</div>
</section>`
}

function recipeSection({ recipe, facts }: TrainingReport): Html {
  const groups = Object.entries(recipe).map(([key, value]) => recipeRows(key, value))
  return html`
<section>
  <h2>Measured on</h2>
  <dl class="facts">${facts.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
</section>
<section>
  <h2>Recipe</h2>
  <p>As in <code>config.json</code>, which <code>--recipe</code> takes.</p>
  <table class="recipe"><tbody>${groups.flat()}</tbody></table>
</section>`
}

function recipeRows(key: string, value: unknown): Html[] {
  const inner = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : null
  const rows = inner ?? [["", value]]
  return rows.map(
    ([name, value], i) => html`
<tr class="${i === 0 ? "first" : ""}"><td>${i === 0 ? key : ""}</td><td class="key">${name as string}</td><td>${valueText(value)}</td></tr>`,
  )
}

function valueText(value: unknown): string {
  if (value === null) return "-"
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(" ")
  return typeof value === "number" && Number.isInteger(value) ? integer(value) : String(value)
}

function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}
