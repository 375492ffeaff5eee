/** Accuracy over latency and over parameters, as in the papers' figures: published models, and those that are compared. */
import { published } from "../../core/family/published.ts"
import type { VariantName } from "../../core/family/variants.ts"
import { mainMetricOf } from "../../evaluate/suite/averages.ts"
import { publishedModels } from "../../evaluate/suite/published.ts"
import { type Html, html } from "../../report/html.ts"
import { type ScatterPoint, type ScatterSeries, scatterFigure } from "../../report/scatter.ts"
import { familySeries } from "../family-series.ts"
import { type LatencyReport, modelLatencies } from "../latency/latency-report.ts"
import type { Comparison } from "./compare.ts"
import type { ComparedModel } from "./compared-model.ts"

/** Plots that tell models apart; nothing where there is none. */
export async function plotsSection({ models, headline }: Comparison, latency: LatencyReport | null): Promise<Html> {
  if (!headline) return html``
  const own = models.map((model, i) => ({ model, score: 100 * headline.cells[i]!.value })).filter(isOwn)
  const parameters = parametersOf(latency)
  const of = (x: X) => seriesOf(headline.keys, own, x)
  const yTitle = headline.keys.length === 1 ? `${headline.name}, %` : `mean of ${headline.keys.length} tasks, %`
  const figures: Html[] = []
  const add = async (series: readonly ScatterSeries[], caption: string, xTitle: string) => {
    if (new Set(series.flatMap(({ points }) => points.map(({ x }) => x))).size < 2) return
    figures.push(
      await scatterFigure(series, { caption, xTitle, yTitle, label: `${yTitle} over ${xTitle}: ${caption}` }),
    )
  }
  const phone = "iPhone 12 Pro Max, published latency"
  await add(of(onPhone), phone, "milliseconds, one picture and one text")
  await add(of(parameters), "parameters of both towers", "millions of parameters")
  const here = measuredHere(latency)
  const machine = latency ? `${latency.machine.cpu}, measured` : "the machine of the evaluation"
  await add(of(here), machine, "milliseconds, one picture and one text")
  const isPublished = of(parameters).some(({ name, points }) => name !== comparedHere && points.length > 0)
  const isOther = latency !== null && own.length > 0 && own.every(({ model }) => here(model) === null)
  if (figures.length === 0 && !isOther) return html``
  return html`
<section>
  <h2>Accuracy over what it costs</h2>
  <p>${isPublished ? publishedText : unpublishedText}${isPublished && own.length > 0 ? ownText : null}${isOther ? " The latencies that were given are of other models." : null}${
    latency
      ? null
      : html` For the same on your machine: <code>mobileclip bench --family --json</code>, then <code>--latency FILE</code>.`
  }</p>
  <div class="charts">${figures}</div>
</section>`
}

const publishedText =
  "The figure of both papers, with the 14 published models: the further up and to the left, the better. Their latency is the papers' own, measured on an iPhone 12 Pro Max with Core ML."
const unpublishedText =
  "The further up and to the left, the better. Published models are not shown: they have no results of these tasks."
const ownText =
  " A model of yours stands at the published latency of its architecture, where it is a member of the family."
const comparedHere = "compared here"

interface Costed {
  readonly name: string
  readonly variant: string | null
  readonly parameters: number | null
  readonly latencyMs: number | null
}

type X = (model: Costed) => number | null

interface Own {
  readonly model: ComparedModel
  readonly score: number
}

function isOwn({ model }: Own): boolean {
  return model.source !== "published"
}

function seriesOf(keys: readonly string[], own: readonly Own[], x: X): ScatterSeries[] {
  const points = publishedModels.flatMap(({ name, variant, results, parameters }) => {
    const scores = keys
      .map((key) => results.find((result) => result.key === key))
      .map((result) => result && mainMetricOf(result))
    if (!scores.every((score) => typeof score === "number")) return []
    const at = x({ name, variant, parameters, latencyMs: null })
    const mean = scores.reduce((sum, score) => sum + score, 0) / keys.length
    return at === null ? [] : [{ variant, x: at, y: 100 * mean }]
  })
  const mine = own.flatMap(({ model, score }): ScatterPoint[] => {
    const at = x(model)
    return at === null ? [] : [{ name: model.name, x: at, y: score }]
  })
  return [...familySeries(points), { name: comparedHere, points: mine, labels: "below" as const }]
}

function onPhone({ variant }: Costed): number | null {
  const figures = variant === null ? undefined : published[variant as VariantName]
  return figures ? figures.latency.image + figures.latency.text : null
}

/** In millions; what the report of latencies counted, for models that do not say it. */
function parametersOf(latency: LatencyReport | null): X {
  const counted = (latency ? modelLatencies(latency) : []).map(({ model, image, text }) => {
    return [model, image.parameters && text.parameters ? (image.parameters + text.parameters) / 1e6 : null] as const
  })
  const byModel = new Map(counted)
  return ({ name, variant, parameters }) => parameters ?? byModel.get(name) ?? byModel.get(variant ?? "") ?? null
}

/** By the model's name or its architecture; what a run measured itself counts where there is no report. */
function measuredHere(latency: LatencyReport | null): X {
  const byModel = new Map((latency ? modelLatencies(latency) : []).map(({ model, latencyMs }) => [model, latencyMs]))
  return ({ name, variant, latencyMs }) =>
    latency ? (byModel.get(name) ?? byModel.get(variant ?? "") ?? null) : latencyMs
}
