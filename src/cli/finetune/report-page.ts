/** The page of the report: what the probe says before and after, the pictures whose answer changed, how it was trained. */
import sharp from "sharp"
import type { Image8 } from "../../core/pixels.ts"
import { type Curve, curvesChart } from "../../report/chart.ts"
import { Html, html } from "../../report/html.ts"
import { style } from "../../report/style.ts"
import { totalLoss } from "../../train/log/entries.ts"
import type { Prediction } from "./probe.ts"
import { type Change, changesOf, curveOf, type FinetuneReport } from "./report.ts"

/** Pictures in the grid, at most. */
const mostPictures = 48

/** A whole HTML document that loads nothing. */
export async function reportPage(report: FinetuneReport): Promise<string> {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>mobileclip finetune</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${headline(report)}
${beforeAndAfter(report)}
${await changes(report)}
${averages(report)}
${await curves(report)}
${facts(report)}
</main>
</body>
</html>
`
  return page.text
}

function headline({ start, pictures, before, chosen, run, probe }: FinetuneReport): Html {
  const kind = probe.classes ? "the class of" : "captions and"
  return html`
<header>
  <p class="eyebrow">mobileclip finetune</p>
  <h1>${percent(before.score)} before, ${percent(chosen.score)} after</h1>
  <p class="lede">${start.info.name} was trained on ${integer(pictures.train)} pictures more. The figures say how often it finds ${kind} the
  ${integer(pictures.heldOut)} pictures that were held out.${chosen.alpha === 0 ? " No tuned model was better than the start, so what was written is the start." : ""}</p>
  <dl class="figures">
    <div><dt>steps</dt><dd>${integer(run.step)}</dd></div>
    <div><dt>pairs seen</dt><dd>${integer(run.info.samplesSeen)}</dd></div>
    <div><dt>pairs a second</dt><dd>${run.samplesPerSecond.toFixed(run.samplesPerSecond < 10 ? 1 : 0)}</dd></div>
    <div><dt>share of tuned weights</dt><dd>${chosen.alpha}</dd></div>
  </dl>
</header>`
}

function beforeAndAfter({ before, chosen, probe }: FinetuneReport): Html {
  const chance = (name: string) => (name in probe.chance ? percent(probe.chance[name]!) : "")
  const row = (name: string) => html`
<tr><th scope="row">${name}</th><td>${percent(before.figures[name]!)}</td><td><b>${percent(chosen.figures[name]!)}</b></td>
<td>${points(chosen.figures[name]! - before.figures[name]!)}</td><td>${chance(name)}</td></tr>`
  return html`
<section>
  <h2>Before and after</h2>
  <p>On held-out pictures. They also chose the step and the share of the tuned weights, so what comes next may be found a little less well.</p>
  <table class="plain">
    <thead><tr><th></th><th>before</th><th>after</th><th>points</th><th>chance</th></tr></thead>
    <tbody>${Object.keys(before.figures).map(row)}</tbody>
  </table>
</section>`
}

// ----------------------------------------------------------------------------------------------------- pictures

async function changes(report: FinetuneReport): Promise<Html> {
  const all = changesOf(report.before, report.chosen)
  const better = all.filter(({ before, after }) => !before.isRight && after.isRight).length
  const worse = all.filter(({ before, after }) => before.isRight && !after.isRight).length
  const rest = all.length - better - worse
  const shown = all.slice(0, mostPictures)
  const cards = await Promise.all(shown.map((change) => card(change, report)))
  return html`
<section>
  <h2>What changed</h2>
  <p>${better} pictures became right, ${worse} became wrong${rest > 0 ? `; ${rest} more have another answer, as right or wrong as before` : ""}.${
    shown.length < all.length ? ` The first ${shown.length} of these are shown.` : ""
  }</p>
  <div class="pictures">${cards}</div>
</section>`
}

async function card({ index, before, after }: Change, { probe }: FinetuneReport): Promise<Html> {
  const truth = probe.pictures[index]!.captions.join(" / ")
  return html`
<figure class="card ${after.isRight ? "right" : "wrong"}">
  <img src="${await dataUri(probe.images[index]!)}" alt="${truth}">
  <figcaption>
    <p class="verdict">${after.isRight ? "✓ right now" : "✗ wrong now"}</p>
    <p class="caption">${truth}</p>
    <ol>${answer("before", before)}${answer("after", after)}</ol>
  </figcaption>
</figure>`
}

function answer(when: string, { choice, probability, isRight }: Prediction): Html {
  const share = (100 * probability).toFixed(0)
  return html`
<li${isRight ? html` class="true"` : null}>
  <span>${when}: ${isRight ? "✓ " : ""}${choice}</span><b>${share} %</b><i style="width:${share}%"></i>
</li>`
}

async function dataUri({ data, width, height }: Image8): Promise<string> {
  const picture = sharp(data, { raw: { width, height, channels: 3 } }).resize({ width: 240, withoutEnlargement: true })
  return `data:image/jpeg;base64,${(await picture.jpeg({ quality: 82 }).toBuffer()).toString("base64")}`
}

// ------------------------------------------------------------------------------------------------------- curves

function averages({ candidates, before, chosen }: FinetuneReport): Html {
  if (candidates.length === 1) return html``
  const row = ({ alpha, score }: FinetuneReport["candidates"][number]) => html`
<tr>
  <th scope="row">${alpha}${alpha === 0 ? " (start)" : alpha === 1 ? " (tuned)" : ""}${alpha === chosen.alpha ? ", written" : ""}</th>
  <td class="bar"><div><i style="width:${percent(score)}"></i><s style="left:${percent(before.score)}"></s></div></td>
  <td><b>${percent(score)}</b></td>
</tr>`
  return html`
<section>
  <h2>Between start and tuned</h2>
  <p>Weights averaged with the start's, by the share of the tuned ones. The best was written; where several are, the one nearest to
  one half, for it keeps more of what the start knows of other pictures. The upright mark is the start.</p>
  <table class="bars"><tbody>${candidates.toSorted((a, b) => a.alpha - b.alpha).map(row)}</tbody></table>
</section>`
}

async function curves(report: FinetuneReport): Promise<Html> {
  const { run, bestStep } = report
  const evaluations = curveOf(report)
  const scores = Object.keys(evaluations[0]!.tasks).map(
    (name): Curve => ({
      name,
      points: evaluations.map(({ samplesSeen, tasks }) => ({ x: samplesSeen, y: tasks[name]! })),
    }),
  )
  const bySteps = (value: (entry: (typeof run.steps)[number]) => number): Curve[] => [
    { points: run.steps.map((entry) => ({ x: entry.step, y: value(entry) })) },
  ]
  const small = { width: 420, height: 170, xTitle: "step" } as const
  const [probe, loss, rate] = await Promise.all([
    curvesChart(scores, { width: 880, height: 240, xTitle: "pairs seen", format: ".0%", marked: true }),
    curvesChart(bySteps(totalLoss), { ...small, smoothed: true, zero: false }),
    curvesChart(
      bySteps(({ learningRate }) => learningRate),
      { ...small, format: ".1e" },
    ),
  ])
  return html`
<section>
  <h2>How it was trained</h2>
  <p>The probe along the way; the state after step ${integer(bestStep)} was the best.</p>
  ${figure(probe, "Probe over pairs seen")}
  <div class="pair">
    <figure><figcaption>loss</figcaption>${figure(loss, "Loss over the steps")}</figure>
    <figure><figcaption>learning rate</figcaption>${figure(rate, "Learning rate over the steps")}</figure>
  </div>
</section>`
}

function figure(svg: string, label: string): Html {
  return html`<div class="chart" role="img" aria-label="${label}">${new Html(svg)}</div>`
}

// -------------------------------------------------------------------------------------------------------- facts

function facts({ source, pictures, start, config, checkpoint, model, probe }: FinetuneReport): Html {
  const { batchSize, chunkSize, steps, learningRate, layerDecay, warmupSteps, locked = [] } = config
  const rows: readonly (readonly [string, string])[] = [
    ["pictures", `${source}: ${pictures.train} trained on, ${pictures.heldOut} held out${leftOut(pictures)}`],
    ["started from", `${start.source.file}: ${start.description}`],
    ["licence", start.info.license],
    ["batch", `${batchSize} pairs${chunkSize === undefined ? "" : `, encoded ${chunkSize} at once`}`],
    ["schedule", `at most ${steps} steps, ${warmupSteps} of them to warm up`],
    [
      "rate",
      `${learningRate.toExponential(1)}${layerDecay === 1 ? "" : `, times ${layerDecay} from each layer to the one below`}`,
    ],
    ["not trained", [...locked.map((tower) => `the ${tower} tower`), "statistics of batch norm"].join(", ")],
    ...(probe.classes ? ([["prompts", probe.classes.templates.join(" | ")]] as const) : []),
    ["written", `${checkpoint}, exported to ${model}`],
  ]
  return html`
<section>
  <h2>What was used</h2>
  <dl class="facts">${rows.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
</section>`
}

function leftOut({ withoutCaption, damaged }: FinetuneReport["pictures"]): string {
  const parts = [
    ...(withoutCaption > 0 ? [`${withoutCaption} without a caption`] : []),
    ...(damaged > 0 ? [`${damaged} damaged`] : []),
  ]
  return parts.length > 0 ? `; left out: ${parts.join(", ")}` : ""
}

/** 0.0834 -> "8.3%" */
function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}

/** -0.012 -> "-1.2" */
function points(difference: number): string {
  return `${difference > 0 ? "+" : ""}${(100 * difference).toFixed(1)}`
}

function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}
