/** `report.html`, for any training run, finished or not: what came out, what it saw, what to do next, then how it learned and by which recipe. */
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { isObject } from "../../../core/json.ts"
import { writeAtomically } from "../../../host/files/files.ts"
import { htmlDocument } from "../../../report/document.ts"
import { type Html, html } from "../../../report/html.ts"
import { integer, percent } from "../../../report/numbers.ts"
import { jpegUri } from "../../../report/picture-card.ts"
import { factList, figureList, type Term } from "../../../report/terms.ts"
import { isCaptioning, lossWeights, resolvedRecipe } from "../../recipe/resolved.ts"
import { defaultRecipe, type Recipe } from "../../recipe/schema.ts"
import { nextSteps } from "../../run/next-steps.ts"
import { type EvaluationEntry, isStep, type LogEntry, meanOfFinite, type StepEntry, totalLoss } from "../entries.ts"
import type { SeenSample } from "../samples.ts"
import { type ChartSection, curveSections, resumedPairs, zeroShotSection } from "./curves.ts"

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
  /** The run's folder as it was given, for commands; absent: none are shown. */
  readonly directory?: string
  /** The model directory that is written at the end. */
  readonly exported?: string
  /** Machine, versions, parameters: what the figures depend on. */
  readonly facts: readonly (readonly [string, string])[]
}

/** Writes the page into `folder`, which must exist. */
export async function writeTrainingReport(folder: string, report: TrainingReport): Promise<void> {
  await writeAtomically(join(folder, "report.html"), [await reportPage(report)])
}

/** A whole HTML document that loads nothing: what came out first, then how. */
export async function reportPage(report: TrainingReport): Promise<string> {
  const steps = report.entries.filter(isStep)
  const evaluations = report.entries.filter((entry): entry is EvaluationEntry => !isStep(entry))
  const body = html`${headline(report, steps, evaluations)}
${await zeroShotSection(evaluations, report.chance ?? {}, resumedPairs(steps))}
${samplesSection(report.samples)}
${nextSection(report, isFinished(report, steps))}
${(await curveSections(steps)).map(chartSection)}
${recipeSection(report)}`
  return htmlDocument(`${report.name}: training`, body, ownStyle)
}

const ownStyle = `
.seen { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 22px 16px; margin-top: 16px; }
.seen figure { min-width: 0; }
.seen img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--panel); border-radius: 3px; }
.seen p { margin: 6px 0 0; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; }
.seen .synthetic { color: var(--soft); border-left: 2px solid var(--accent); padding-left: 7px; }
summary { cursor: pointer; color: var(--soft); }
summary h2 { display: inline; color: var(--ink); margin-right: 8px; }
details p { margin-top: 10px; color: var(--soft); }
.recipe td { padding: 3px 24px 3px 0; vertical-align: top; overflow-wrap: anywhere; }
.recipe td:last-child { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 14px; }
.recipe tr.first td { border-top: 1px solid var(--line); }
.recipe .key { color: var(--soft); }
@media (max-width: 620px) { .seen { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
`

function headline(report: TrainingReport, steps: readonly StepEntry[], evaluations: readonly EvaluationEntry[]): Html {
  const last = steps.at(-1)
  const state = isFinished(report, steps)
    ? "finished"
    : `stopped at step ${integer(last?.step ?? 0)} of ${integer(report.steps)}`
  const hint =
    evaluations.length === 0
      ? html` Accuracy was not measured: <code>--evaluate TASKS</code> does, along the way.`
      : null
  return html`
<header>
  <p class="eyebrow">mobileclip train: ${report.name}, ${state}</p>
  <h1>${outcomeText(steps, evaluations)}</h1>
  <p class="lede">The model is ${report.recipe.model}, its loss ${lossText(report)}, with ${integer(report.recipe.batch.size)} pairs a step.${hint}</p>
  ${figureList(figuresOf(report, steps, evaluations))}
</header>`
}

function isFinished({ steps }: TrainingReport, made: readonly StepEntry[]): boolean {
  return (made.at(-1)?.step ?? 0) >= steps
}

/** The last accuracy; where none was measured, how far the loss came. */
function outcomeText(steps: readonly StepEntry[], evaluations: readonly EvaluationEntry[]): string {
  const last = evaluations.at(-1)
  const tasks = Object.keys(last?.tasks ?? {})
  if (last)
    return `Zero-shot accuracy ${percent(last.average)}${tasks.length > 1 ? `, mean of ${tasks.length} tasks` : ""}`
  if (steps.length === 0) return "No step was made yet"
  return `Loss ${totalLoss(steps[0]!).toFixed(2)} at first, ${lastLoss(steps).toFixed(2)} at the end`
}

/** The mean over the last twentieth of the entries. */
function lastLoss(steps: readonly StepEntry[]): number {
  return meanOfFinite(steps.slice(-Math.ceil(steps.length / 20)).map(totalLoss))
}

function figuresOf(
  { chance = {} }: TrainingReport,
  steps: readonly StepEntry[],
  evaluations: readonly EvaluationEntry[],
): Term[] {
  const last = steps.at(-1)
  const guesses = Object.keys(evaluations.at(-1)?.tasks ?? {}).flatMap((name) => chance[name] ?? [])
  const best = Math.max(...evaluations.map(({ average }) => average))
  return [
    ...(guesses.length > 0 ? [["by guessing", percent(meanOfFinite(guesses))] as const] : []),
    ...(evaluations.length > 1 ? [["best along the way", percent(best)] as const] : []),
    ["pairs seen", integer(last?.samplesSeen ?? 0)],
    ["loss", last ? lastLoss(steps).toFixed(3) : "-"],
    ["pairs a second", last ? integer(samplesPerSecond(steps)) : "-"],
    ["waiting for data", last ? percent(dataWait(steps)) : "-"],
  ]
}

function lossText({ recipe }: TrainingReport): string {
  const { kind } = recipe.loss
  const names = { clip: "contrastive loss", distill: "distillation", siglip: "sigmoid loss", coca: "CoCa's losses" }
  return kind === "distill" ? `${names[kind]} (weights ${lossWeights(recipe).join(" and ")})` : names[kind]
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

/** Two rows; TensorBoard has more. */
const mostSamples = 10

/** Pairs as the model saw them. */
function samplesSection(samples: readonly SeenSample[]): Html {
  if (samples.length === 0) return html``
  const reinforced = samples.some(({ synthetic }) => synthetic !== undefined)
  return html`
<section>
  <h2>What it saw</h2>
  <p>Pictures and captions of a batch, as the towers got them${reinforced ? "; the marked caption below each one is the synthetic one" : ""}.</p>
  <div class="seen">${samples.slice(0, mostSamples).map(sampleFigure)}</div>
</section>`
}

function sampleFigure({ jpeg, caption, synthetic }: SeenSample): Html {
  return html`
<figure>
  <img src="${jpegUri(jpeg)}" alt="${caption}">
  <figcaption><p>${caption}</p>${synthetic === undefined ? null : html`<p class="synthetic">${synthetic}</p>`}</figcaption>
</figure>`
}

function nextSection({ directory, recipe, steps, exported }: TrainingReport, isFinished: boolean): Html {
  if (directory === undefined) return html``
  const next = nextSteps({ directory, isCaptioner: isCaptioning(recipe), steps, isFinished, exported })
  return html`
<section>
  <h2>Next</h2>
  ${next.map(({ purpose, command }) => html`<p class="next">${purpose}</p><pre><code>${command}</code></pre>`)}
</section>`
}

function recipeSection({ recipe, facts }: TrainingReport): Html {
  const rows = Object.entries(resolvedRecipe(recipe)).flatMap(([key, value]) => recipeRows(key, value))
  return html`
<section>
  <h2>Measured on</h2>
  ${factList(facts)}
</section>
<section>
  <details>
    <summary><h2>Recipe</h2> ${rows.length === 0 ? "all keys have their defaults" : "the keys that are not defaults"}</summary>
    <p>All keys are in <code>config.json</code>, which <code>--recipe</code> takes.</p>
    <table class="recipe"><tbody>${rows}</tbody></table>
  </details>
</section>`
}

/** Rows of the keys that differ from a recipe without any. */
function recipeRows(key: string, value: unknown): Html[] {
  const inner = isObject(value) ? Object.entries(value) : [["", value] as const]
  const plain = plainRecipe[key as keyof Recipe] as unknown
  return inner
    .filter(([name, value]) => !isDeepStrictEqual(value, isObject(plain) ? plain[name] : plain))
    .map(
      ([name, value], i) => html`
<tr class="${i === 0 ? "first" : ""}"><td>${i === 0 ? key : ""}</td><td class="key">${name}</td><td>${valueText(value)}</td></tr>`,
    )
}

const plainRecipe = resolvedRecipe(defaultRecipe)

function valueText(value: unknown): string {
  if (value === null) return "-"
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(" ")
  return typeof value === "number" && Number.isInteger(value) ? integer(value) : String(value)
}
