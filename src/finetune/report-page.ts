/** The page of the report: what it was worth in a sentence, before and after by class and by picture, how it was trained. */
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
import { askedIn, type Prediction } from "./probe.ts"
import { type ClassCount, classCounts, curveOf, type FinetuneReport, type Outcome, outcomesOf } from "./report-data.ts"
import { adviceOf, choiceText, classesText, guessingText, type Verdict, verdictOf, verdictText } from "./verdict.ts"

/** The most pictures in the grid. */
const mostPictures = 48

/** The most rows of the table of classes. */
const mostClasses = 60

/** A whole HTML document that loads nothing. */
export async function reportPage(report: FinetuneReport): Promise<string> {
  const body = html`${headline(report)}
${beforeAndAfter(report)}
${perClass(report)}
${await pictures(report)}
${averages(report)}
${await curves(report)}
${facts(report)}`
  return htmlDocument("mobileclip finetune", body)
}

function headline(report: FinetuneReport): Html {
  const { start, pictures, before, chosen, probe, candidates, config } = report
  const verdict = verdictOf(probe, before, chosen)
  const asked = probe.classes ? `the class, of ${integer(probe.classes.names.length)}` : "its caption, among all"
  const advice = adviceOf(verdict, config.learningRate)
  const classes = classesText(before, chosen)
  const startNote =
    chosen.alpha === 0 ? " No tuned model was better than the start, so the model that was written is the start." : ""
  return html`
<header>
  <p class="eyebrow">mobileclip finetune</p>
  <h1>${verdictText(verdict, "pictures")}</h1>
  <p class="lede">${start.info.name} was trained further on ${integer(pictures.train)} pictures. Each of the ${integer(verdict.pictures)} others, which were
  held out, is right where the model finds ${asked}. ${classes === null ? null : `${sentence(`But ${classes}`)} `}${sentence(guessingText(verdict))} ${sentence(choiceText(candidates.length > 1))}${startNote}</p>
  ${advice === null ? null : html`<p>${sentence(`What may help: ${advice}`)}</p>`}
  ${figureList([
    rightTerm("right before", verdict.rightBefore, verdict),
    rightTerm("right after", verdict.rightAfter, verdict),
    rightTerm("by guessing", verdict.rightByGuessing, verdict),
    ["became right", integer(verdict.becameRight)],
    ["became wrong", integer(verdict.becameWrong)],
  ])}
</header>`
}

/** "right before, 33.3%": "4 of 12" */
function rightTerm(name: string, count: number, { pictures }: Verdict): Term {
  return [
    `${name}, ${percent(count / pictures)}`,
    `${Number(count.toFixed(1)).toLocaleString("en")} of ${integer(pictures)}`,
  ]
}

/** With a capital letter and a full stop. */
function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`
}

function beforeAndAfter({ before, chosen, probe }: FinetuneReport): Html {
  const chance = (name: string) => (name in probe.chance ? percent(probe.chance[name]!) : "")
  const cell = (share: number, name: string) => {
    const all = askedIn(probe, name)
    return all === null ? percent(share) : `${Math.round(share * all)} of ${all}, ${percent(share)}`
  }
  const row = (name: string) => html`
<tr><th scope="row">${name}</th><td>${cell(before.figures[name]!, name)}</td><td><b>${cell(chosen.figures[name]!, name)}</b></td>
<td>${points(chosen.figures[name]! - before.figures[name]!)}</td><td>${chance(name)}</td></tr>`
  return html`
<section>
  <h2>Before and after</h2>
  <p>Measured on the held-out pictures.</p>
  <table class="plain">
    <thead><tr><th></th><th>before</th><th>after</th><th>points</th><th>guessing</th></tr></thead>
    <tbody>${Object.keys(before.figures).map(row)}</tbody>
  </table>
</section>`
}

function perClass({ probe, before, chosen }: FinetuneReport): Html {
  const counts = classCounts(probe, before, chosen)
  if (counts.length === 0) return html``
  const change = ({ rightBefore, rightAfter }: ClassCount) => Math.abs(rightAfter - rightBefore)
  const most = counts.length > mostClasses
  const shown = most ? counts.toSorted((a, b) => change(b) - change(a)).slice(0, mostClasses) : counts
  const row = (one: ClassCount) => html`
<tr>
  <th scope="row">${one.name}</th>
  <td class="bar"><div><i style="width:${percent(one.rightAfter / one.pictures)}"></i><s style="left:${percent(one.rightBefore / one.pictures)}"></s></div></td>
  <td>${one.rightBefore}</td><td><b>${one.rightAfter}</b></td><td>${one.pictures}</td>
</tr>`
  return html`
<section>
  <h2>By class</h2>
  <p>How many pictures of each class are right. The upright mark is before.${most ? ` The ${mostClasses} classes that changed most, of ${counts.length}.` : ""}</p>
  <table class="bars">
    <thead><tr><th>class</th><th></th><th>before</th><th>after</th><th>of</th></tr></thead>
    <tbody>${shown.map(row)}</tbody>
  </table>
</section>`
}

// ----------------------------------------------------------------------------------------------------- pictures

async function pictures(report: FinetuneReport): Promise<Html> {
  const all = outcomesOf(report.before, report.chosen)
  const shown = all.slice(0, mostPictures)
  const cards = await Promise.all(shown.map((outcome) => card(outcome, report)))
  const counts = outcomeKinds.map((kind) => `${all.filter((one) => one.kind === kind).length} ${kind}`).join(", ")
  return html`
<section>
  <h2>The held-out pictures</h2>
  <p>Under each picture the truth, then the answers before and after: ${counts}.${shown.length < all.length ? ` The first ${shown.length} are shown.` : ""}</p>
  <div class="pictures">${cards}</div>
</section>`
}

const outcomeKinds = ["became right", "became wrong", "still wrong", "still right"] as const

const verdicts = {
  "became right": "✓ right now",
  "became wrong": "✗ wrong now",
  "still wrong": "✗ still wrong",
  "still right": "✓ still right",
} as const satisfies Record<Outcome["kind"], string>

async function card({ index, kind, before, after }: Outcome, { probe }: FinetuneReport): Promise<Html> {
  const truth = probe.pictures[index]!.captions.join(" / ")
  return pictureCard({
    ...{ jpeg: await thumbnail(probe.images[index]!), alt: truth, isRight: after.isRight },
    text: html`
    <p class="verdict">${verdicts[kind]}</p>
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

function facts({ source, pictures, start, config, checkpoint, model, probe, run }: FinetuneReport): Html {
  const { batchSize, chunkSize, steps, learningRate, layerDecay, warmupSteps, locked = [] } = config
  const rows: readonly Term[] = [
    ["pictures", `${source}: ${pictures.train} trained on, ${pictures.heldOut} held out${leftOut(pictures)}`],
    ["started from", `${start.source.file}: ${start.description}`],
    ["licence", start.info.license],
    ["batch", `${batchSize} pairs${chunkSize === undefined ? "" : `, encoded ${chunkSize} at once`}`],
    ["schedule", `${run.step} of at most ${steps} steps, ${warmupSteps} of them to warm up`],
    [
      "seen",
      `${integer(run.info.samplesSeen)} pairs, ${run.samplesPerSecond.toFixed(run.samplesPerSecond < 10 ? 1 : 0)} a second`,
    ],
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
