/**
 * The page of a benchmark: published accuracy over the latency that was measured here, and over the papers' own, which was
 * measured on an iPhone; then all figures in tables.
 */
import { accuraciesOf, type PublishedFigures, published, publishedClip } from "../../core/family/published.ts"
import type { VariantName } from "../../core/family/variants.ts"
import { htmlDocument } from "../../report/document.ts"
import { type Html, html } from "../../report/html.ts"
import { measuredOn } from "../../report/machine.ts"
import { integer, percent } from "../../report/numbers.ts"
import { type ScatterSeries, scatterFigure } from "../../report/scatter.ts"
import { figureList, type Term } from "../../report/terms.ts"
import { type FamilyPoint, familySeries, fullName, shortName } from "../family-series.ts"
import { type LatencyReport, type LatencyRow, modelLatencies } from "./latency-report.ts"

/** One HTML file that loads nothing. */
export async function latencyPage(report: LatencyReport): Promise<string> {
  const models = modelsOf(report)
  const body = html`${heading(report, models)}${await plots(models)}${modelTable(models)}${towerTable(report)}
${measuredOn(report.machine, facts(report))}`
  return htmlDocument("Latency on this machine", body, ownStyle)
}

const ownStyle = `
.wide-table { font-size: 14px; }
.wide-table th, .wide-table td { padding-right: 16px; white-space: nowrap; }
.charts + p { margin-top: 16px; }
`

/** A model with both towers, and what was published about it. */
interface ModelFigures {
  readonly model: string
  readonly image: LatencyRow
  readonly text: LatencyRow
  readonly latencyMs: number
  readonly published: PublishedFigures | null
}

/** The fastest first. */
function modelsOf(report: LatencyReport): ModelFigures[] {
  const models = modelLatencies(report).map(({ model, latencyMs, image, text }) => {
    return { model, latencyMs, image, text, published: published[model as VariantName] ?? null }
  })
  return models.toSorted((a, b) => a.latencyMs - b.latencyMs)
}

// --------------------------------------------------------------------------------------------------------- the top

function heading({ machine, options, peakGflops, rows }: LatencyReport, models: readonly ModelFigures[]): Html {
  const shares = rows.flatMap(({ shareOfPeak, batch }) => (shareOfPeak !== null && batch === 1 ? [shareOfPeak] : []))
  const terms: Term[] = [
    ["matrix product", `${integer(peakGflops)} GFLOP/s`],
    ["threads", String(options.threads)],
    ["types", options.dtypes.join(", ")],
    ["devices", options.devices.join(", ")],
  ]
  if (shares.length > 0) {
    terms.push(["share of it, batch 1", `${percent(Math.min(...shares), 0)} to ${percent(Math.max(...shares), 0)}`])
  }
  return html`<p class="eyebrow">mobileclip bench</p>
<h1>Latency on this machine</h1>
<p class="lede">${lede(models, machine.cpu)}</p>
${figureList(terms)}`
}

function lede(models: readonly ModelFigures[], cpu: string): string {
  const [fastest, slowest] = [models[0], models.at(-1)]
  if (!fastest || !slowest) return `Single towers, measured on ${cpu}.`
  const time = ({ model, latencyMs }: ModelFigures) => `${milliseconds(latencyMs)} ms (${fullName(model)})`
  if (models.length === 1) return `One picture and one text take ${time(fastest)} on ${cpu}.`
  return `One picture and one text take from ${time(fastest)} to ${time(slowest)} on ${cpu}.`
}

// ------------------------------------------------------------------------------------------------------- the plots

const accuracies = [
  { title: "mean of 38 datasets, %", key: "average38" },
  { title: "ImageNet, zero-shot top-1, %", key: "imagenet" },
] as const

type AccuracyKey = (typeof accuracies)[number]["key"]

async function plots(models: readonly ModelFigures[]): Promise<Html | null> {
  const figures: Html[] = []
  for (const { title, key } of accuracies) {
    const [here, phone] = [seriesHere(models, key), seriesOfPapers(models, key)]
    if (phone.every(({ points }) => points.length === 0)) return null
    const heights = [...here, ...phone].flatMap(({ points }) => points.map(({ y }) => y))
    const figure = (series: readonly ScatterSeries[], caption: string) =>
      scatterFigure(series, {
        caption,
        label: `${title} over milliseconds: ${caption}`,
        xTitle: "milliseconds, one picture and one text",
        yTitle: title,
        yRange: [Math.min(...heights), Math.max(...heights)],
      })
    figures.push(await figure(here, "this machine, measured"), await figure(phone, "iPhone 12 Pro Max, published"))
  }
  return html`
<section>
  <h2>Accuracy over latency</h2>
  <p>The figure of both papers: published accuracy over the time for one picture and one text, on this machine and on the
  papers' phone (Core ML). The further up and to the left, the better.</p>
  <div class="charts">${figures}</div>
  ${publishedNote(models)}
</section>`
}

function publishedNote(models: readonly ModelFigures[]): Html | null {
  if (!models.some(({ model }) => publishedClip.some(({ variant }) => variant === model))) return null
  return html`<p>CLIP's accuracies are from open_clip's table: weights trained on DataComp-1B and on LAION-2B, and OpenAI's, whose
  towers are the same but for QuickGELU; the time is that of GELU. Its latency on the phone is not in the published table.</p>`
}

function seriesHere(models: readonly ModelFigures[], key: AccuracyKey): ScatterSeries[] {
  const own = releasedSeries(models, key, ({ latencyMs }) => latencyMs)
  const clip = [...new Set(publishedClip.map(({ weights }) => weights))].map((weights) => ({
    name: `CLIP, ${weights}`,
    joined: true,
    points: publishedClip
      .filter((entry) => entry.weights === weights)
      .flatMap((entry) => {
        const found = models.find(({ model }) => model === entry.variant.replace(/-quickgelu$/, ""))
        return found ? [{ name: shortName(found.model), x: found.latencyMs, y: entry[key] }] : []
      }),
  }))
  return [...own, ...clip]
}

function seriesOfPapers(models: readonly ModelFigures[], key: AccuracyKey): ScatterSeries[] {
  return releasedSeries(models, key, ({ published }) => phoneMilliseconds(published!))
}

/** Published accuracies of released models. */
function releasedSeries(
  models: readonly ModelFigures[],
  key: AccuracyKey,
  x: (model: ModelFigures) => number,
): ScatterSeries[] {
  const points = models.flatMap((model): FamilyPoint[] =>
    model.published ? [{ variant: model.model, x: x(model), y: model.published[key].value }] : [],
  )
  return familySeries(points)
}

function phoneMilliseconds({ latency: { image, text } }: PublishedFigures): number {
  return image + text
}

// ------------------------------------------------------------------------------------------------------ the tables

function modelTable(models: readonly ModelFigures[]): Html | null {
  if (models.length === 0) return null
  const rows = models.map(({ model, image, text, latencyMs, published }) => {
    const phone = published ? phoneMilliseconds(published) : null
    const [accuracy] = accuraciesOf(model as VariantName)
    const parameters = image.parameters && text.parameters && (image.parameters + text.parameters) / 1e6
    return html`<tr><th scope="row">${fullName(model)}</th>${cells([
      parameters ? integer(parameters) : null,
      milliseconds(image.medianMs),
      milliseconds(text.medianMs),
      milliseconds(latencyMs),
      phone?.toFixed(1) ?? null,
      accuracy?.average38.toFixed(1) ?? null,
      accuracy?.imagenet.toFixed(1) ?? null,
    ])}</tr>`
  })
  const { device, dtype } = models[0]!.image
  return html`
<section>
  <h2>Models</h2>
  <p>Medians in milliseconds at batch 1, ${dtype} on ${device}; phone: published, for picture and text; accuracies: published, in percent, of a
  model's best weights.</p>
  <div class="scroll"><table class="plain wide-table">
    <thead><tr><th></th>${titles(["M parameters", "picture", "text", "both", "phone", "38 datasets", "ImageNet"])}</tr></thead>
    <tbody>${rows}</tbody>
  </table></div>
</section>`
}

/** Percent of drift that a machine without other work does not reach. */
const restless = 15

/** Each measurement once, in the order of the report; towers that several models have are named by their architecture. */
function towerTable({ rows, notes }: LatencyReport): Html {
  const seen = new Set<string>()
  const measured = rows.filter(({ model, architecture, tower, device, dtype, batch }) => {
    const key = [architecture ?? model, tower, device, dtype, batch].join()
    return !seen.has(key) && seen.add(key)
  })
  return html`
<section>
  <h2>Towers</h2>
  <p>Milliseconds of a run of the whole batch. First: the first run after loading. Peak: multiply-adds a second as a share of
  a matrix product's at the same time, and drift is how much that product's rate changed from the first run to the last.
  Memory in MB and cold start in ms are those of a process that does nothing else, from its start to its first vector, with
  the file in the system's cache.</p>
  <div class="scroll"><table class="plain wide-table">
    <thead><tr><th></th>${titles([
      ...["type", "batch", "median", "p95", "first", "per second", "peak", "drift", "memory", "cold start", "runs"],
    ])}</tr></thead>
    <tbody>${measured.map(towerRow)}</tbody>
  </table></div>
  ${[...reservations(measured), ...notes].map((text) => html`<p>${text}</p>`)}
</section>`
}

function towerRow(row: LatencyRow): Html {
  const { architecture, model, tower, device, dtype, batch } = row
  return html`<tr><th scope="row">${architecture ?? model}, ${tower === "image" ? "pictures" : "texts"}</th>${cells([
    `${dtype}, ${device}`,
    String(batch),
    milliseconds(row.medianMs),
    milliseconds(row.p95Ms),
    milliseconds(row.firstRunMs),
    row.perSecond >= 100 ? integer(row.perSecond) : row.perSecond.toFixed(1),
    row.shareOfPeak === null ? null : percent(row.shareOfPeak, 0),
    signed(row.driftPercent),
    row.peakMemoryMb === null ? null : integer(row.peakMemoryMb),
    row.coldStartMs === null ? null : integer(row.coldStartMs),
    row.isStable ? String(row.runs) : `${row.runs} *`,
  ])}</tr>`
}

/** Why the figures may be less sure than they look. */
function reservations(measured: readonly LatencyRow[]): string[] {
  const drift = Math.max(...measured.map(({ driftPercent }) => Math.abs(driftPercent)))
  return [
    ...(measured.some(({ isStable }) => !isStable)
      ? ["* The time ran out before the median was known well enough."]
      : []),
    ...(drift > restless
      ? [
          `The matrix product's rate changed by up to ${drift.toFixed(0)}% within a row: this machine had other work, and its times are rough.`,
        ]
      : []),
  ]
}

function titles(texts: readonly string[]): Html[] {
  return texts.map((text) => html`<th scope="col">${text}</th>`)
}

function cells(texts: readonly (string | null)[]): Html[] {
  return texts.map((text) => html`<td>${text ?? "–"}</td>`)
}

function facts({ options: { runtime, threads, quick } }: LatencyReport): Term[] {
  return [
    ["runtime", `${runtime}, ${threads} ${threads === 1 ? "thread" : "threads"}`],
    ["weights", "those of the family's members are generated: values do not change the time"],
    ...(quick ? [["length", "quick: few runs, so figures are rough"] as const] : []),
  ]
}

/** Three digits. */
export function milliseconds(value: number): string {
  if (value >= 99.95) return integer(value)
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
}

/** In percent, with its sign. */
export function signed(percentage: number): string {
  const text = percentage.toFixed(0)
  return text === "0" || text === "-0" ? "0%" : `${percentage > 0 ? "+" : "−"}${text.replace("-", "")}%`
}
