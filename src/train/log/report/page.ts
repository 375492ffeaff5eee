/** `report.html`, for any training run, finished or not: how far it is, what it learned, how fast, on which data, and by which recipe. */
import { join } from "node:path"
import { isObject } from "../../../core/json.ts"
import { writeAtomically } from "../../../host/files/files.ts"
import { htmlDocument } from "../../../report/document.ts"
import { type Html, html } from "../../../report/html.ts"
import { integer, percent } from "../../../report/numbers.ts"
import { jpegUri } from "../../../report/picture-card.ts"
import { factList, figureList, type Term } from "../../../report/terms.ts"
import { lossWeights } from "../../recipe/resolved.ts"
import type { Recipe } from "../../recipe/schema.ts"
import { type EvaluationEntry, isStep, type LogEntry, type StepEntry, totalLoss } from "../entries.ts"
import type { SeenSample } from "../samples.ts"
import { type ChartSection, curveSections, zeroShotSection } from "./curves.ts"

export interface TrainingReport {
  /** The name of the run: that of its folder. */
  readonly name: string
  readonly recipe: Recipe
  /** Steps of the whole run. */
  readonly steps: number
  readonly entries: readonly LogEntry[]
  readonly samples: readonly SeenSample[]
  /** Accuracy of guessing, by task. */
  readonly chance?: Readonly<Record<string, number>>
  /** Machine, versions, parameters: what the figures depend on. */
  readonly facts: readonly (readonly [string, string])[]
}

/** Writes the page into `folder`, which must exist. */
export async function writeTrainingReport(folder: string, report: TrainingReport): Promise<void> {
  await writeAtomically(join(folder, "report.html"), [await reportPage(report)])
}

/** A whole HTML document that loads nothing. */
export async function reportPage(report: TrainingReport): Promise<string> {
  const steps = report.entries.filter(isStep)
  const evaluations = report.entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
  const body = html`${headline(report, steps, evaluations)}
${await zeroShotSection(evaluations, report.chance ?? {})}
${(await curveSections(steps)).map(chartSection)}
${samplesSection(report.samples)}
${recipeSection(report)}`
  return htmlDocument(`${report.name}: training`, body, ownStyle)
}

const ownStyle = `
.seen { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 22px 16px; margin-top: 16px; }
.seen figure { min-width: 0; }
.seen img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--panel); border-radius: 3px; }
.seen p { margin: 6px 0 0; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; }
.seen .synthetic { color: var(--soft); border-left: 2px solid var(--accent); padding-left: 7px; }
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
  const figures: readonly Term[] = [
    ["pairs seen", integer(last?.samplesSeen ?? 0)],
    ["loss", last ? totalLoss(last).toFixed(3) : "-"],
    ...(evaluations.length > 0 ? [["best zero-shot average", percent(best)] as const] : []),
    ["pairs a second", last ? integer(samplesPerSecond(steps)) : "-"],
    ["waiting for data", last ? percent(dataWait(steps)) : "-"],
  ]
  return html`
<header>
  <p class="eyebrow">mobileclip train, ${state}</p>
  <h1>${report.name}</h1>
  <p class="lede">${report.recipe.model}, ${lossText(report)}, ${integer(report.recipe.batch.size)} pairs a step.</p>
  ${figureList(figures)}
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

function chartSection({ title, text, charts }: ChartSection): Html {
  return html`
<section>
  <h2>${title}</h2>
  <p>${text}</p>
  <div class="charts">${charts}</div>
</section>`
}

/** Pairs as the model saw them. */
function samplesSection(samples: readonly SeenSample[]): Html {
  if (samples.length === 0) return html``
  const reinforced = samples.some(({ synthetic }) => synthetic !== undefined)
  return html`
<section>
  <h2>What it saw</h2>
  <p>Pictures and captions of a batch, as the towers got them${reinforced ? "; the marked caption below each one is the synthetic one" : ""}.</p>
  <div class="seen">${samples.map(sampleFigure)}</div>
</section>`
}

function sampleFigure({ jpeg, caption, synthetic }: SeenSample): Html {
  return html`
<figure>
  <img src="${jpegUri(jpeg)}" alt="${caption}">
  <figcaption><p>${caption}</p>${synthetic === undefined ? null : html`<p class="synthetic">${synthetic}</p>`}</figcaption>
</figure>`
}

function recipeSection({ recipe, facts }: TrainingReport): Html {
  const groups = Object.entries(recipe).map(([key, value]) => recipeRows(key, value))
  return html`
<section>
  <h2>Measured on</h2>
  ${factList(facts)}
</section>
<section>
  <h2>Recipe</h2>
  <p>As in <code>config.json</code>, which <code>--recipe</code> takes.</p>
  <table class="recipe"><tbody>${groups.flat()}</tbody></table>
</section>`
}

function recipeRows(key: string, value: unknown): Html[] {
  const inner = isObject(value) ? Object.entries(value) : null
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
