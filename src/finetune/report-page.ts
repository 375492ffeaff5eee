/** The page of the report: what the probe says before and after, the pictures whose answer changed, how it was trained. */
import sharp from "sharp"
import type { Image8 } from "../core/image/pixels.ts"
import { type Curve, smallFigure, wideFigure } from "../report/chart.ts"
import { htmlDocument } from "../report/document.ts"
import { type Html, html } from "../report/html.ts"
import { integer, percent } from "../report/numbers.ts"
import { type Answer, answerList, pictureCard } from "../report/picture-card.ts"
import { factList, figureList, type Term } from "../report/terms.ts"
import { totalLoss } from "../train/log/entries.ts"
import { stepCurve } from "../train/log/report/curves.ts"
import type { Prediction } from "./probe.ts"
import { type Change, changesOf, curveOf, type FinetuneReport } from "./report-data.ts"

/** The most pictures in the grid. */
const mostPictures = 48

/** A whole HTML document that loads nothing. */
export async function reportPage(report: FinetuneReport): Promise<string> {
  const body = html`${headline(report)}
${beforeAndAfter(report)}
${await changes(report)}
${averages(report)}
${await curves(report)}
${facts(report)}`
  return htmlDocument("mobileclip finetune", body)
}

function headline({ start, pictures, before, chosen, run, probe }: FinetuneReport): Html {
  const kind = probe.classes ? "the class of" : "captions and"
  return html`
<header>
  <p class="eyebrow">mobileclip finetune</p>
  <h1>${percent(before.score)} before, ${percent(chosen.score)} after</h1>
  <p class="lede">${start.info.name} was trained further on ${integer(pictures.train)} pictures. The figures say how often it finds ${kind} the
  ${integer(pictures.heldOut)} pictures that were held out.${chosen.alpha === 0 ? " No tuned model was better than the start, so the model that was written is the start." : ""}</p>
  ${figureList([
    ["steps", integer(run.step)],
    ["pairs seen", integer(run.info.samplesSeen)],
    ["pairs a second", run.samplesPerSecond.toFixed(run.samplesPerSecond < 10 ? 1 : 0)],
    ["share of tuned weights", String(chosen.alpha)],
  ])}
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
  <p>Measured on the held-out pictures. These also decided the step and the share of the tuned weights, so new pictures may score a little lower.</p>
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
  return pictureCard({
    ...{ jpeg: await thumbnail(probe.images[index]!), alt: truth, isRight: after.isRight },
    text: html`
    <p class="verdict">${after.isRight ? "✓ right now" : "✗ wrong now"}</p>
    <p class="caption">${truth}</p>
    ${answerList([answer("before", before), answer("after", after)])}
  `,
  })
}

function answer(when: string, { choice, probability, isRight }: Prediction): Answer {
  return { text: `${when}: ${isRight ? "✓ " : ""}${choice}`, probability, isRight }
}

/** A small JPEG of the picture. */
async function thumbnail({ data, width, height }: Image8): Promise<Uint8Array> {
  const picture = sharp(data, { raw: { width, height, channels: 3 } }).resize({ width: 240, withoutEnlargement: true })
  return picture.jpeg({ quality: 82 }).toBuffer()
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
  <p>The tuned weights averaged with the start's, by their share. The best average was written. Where several are equally good, it is the one
  nearest to one half, which keeps more of what the start knows about other pictures. The upright mark is the start.</p>
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
  const probe = { label: "Probe over pairs seen", xTitle: "pairs seen", format: ".0%", marked: true }
  const loss = { caption: "loss", label: "Loss over the steps", xTitle: "step", smoothed: true, zero: false }
  const rate = { caption: "learning rate", label: "Learning rate over the steps", xTitle: "step", format: ".1e" }
  const rates = stepCurve(run.steps, ({ learningRate }) => learningRate)
  return html`
<section>
  <h2>How it was trained</h2>
  <p>The scores of the probe during training; the state after step ${integer(bestStep)} was the best.</p>
  <div class="charts">
    ${await wideFigure(scores, probe)}
    ${await smallFigure([stepCurve(run.steps, totalLoss)], loss)}
    ${await smallFigure([rates], rate)}
  </div>
</section>`
}

// -------------------------------------------------------------------------------------------------------- facts

function facts({ source, pictures, start, config, checkpoint, model, probe }: FinetuneReport): Html {
  const { batchSize, chunkSize, steps, learningRate, layerDecay, warmupSteps, locked = [] } = config
  const rows: readonly Term[] = [
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
  ${factList(rows)}
</section>`
}

function leftOut({ withoutCaption, damaged }: FinetuneReport["pictures"]): string {
  const parts = [
    ...(withoutCaption > 0 ? [`${withoutCaption} without a caption`] : []),
    ...(damaged > 0 ? [`${damaged} damaged`] : []),
  ]
  return parts.length > 0 ? `; left out: ${parts.join(", ")}` : ""
}

/** -0.012 -> "-1.2" */
function points(difference: number): string {
  return `${difference > 0 ? "+" : ""}${(100 * difference).toFixed(1)}`
}
