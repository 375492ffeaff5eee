/** The page of the report, with one function for each section. The most important sections come first. */
import { join } from "node:path"
import { headlineOf } from "../../evaluate/efficiency.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { htmlDocument } from "../../report/document.ts"
import { type Html, html } from "../../report/html.ts"
import { measuredOn } from "../../report/machine.ts"
import { durationText, integer, percent } from "../../report/numbers.ts"
import { answerList, pictureCard } from "../../report/picture-card.ts"
import { figureList } from "../../report/terms.ts"
import {
  comparisonTitle,
  efficiencyFigure,
  efficiencyText,
  endOf,
  headlineNames,
  teachersText,
} from "../comparison/learning-efficiency.ts"
import { stagesSection } from "../comparison/stages.ts"
import { learned, losses, renderedOrigin, teachers } from "./learning-page.ts"
import { isRight, type ReportData, type ReportPicture, type ReportTask, rightText } from "./report-data.ts"
import { noSuggestionText, suggestionText } from "./suggestion-text.ts"

/** Writes `report.html` (one file, needs no network) and `report.json` into `directory`, which must exist. */
export async function writeReport(directory: string, data: ReportData): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await reportPage(data)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(reportJson(data), null, 2)}\n`])
}

/** The figures without curves, pictures and confusions. */
export function reportJson(data: ReportData): object {
  const { losses, pictures, next, tasks, ...figures } = data
  return { ...figures, tasks: tasks.map(({ confusion, classNames, ...figures }) => figures) }
}

/** A whole HTML document that loads nothing. */
async function reportPage(data: ReportData): Promise<string> {
  const body = html`${headline(data)}
${await learned(data)}
${pictures(data)}
${accuracies(data)}
${teachers(data)}
${await losses(data)}
${confusion(worstTask(data.tasks))}
${stagesSection(data)}
${machine(data)}
${next(data)}`
  return htmlDocument("mobileclip quickstart", body)
}

function headline(data: ReportData): Html {
  const { seconds, samplesSeen, uniquePictures, precisePictures, plain, reinforced, guessing, efficiency } = data
  const measure = headlineOf(efficiency)
  return html`
<header>
  <p class="eyebrow">mobileclip quickstart</p>
  <h1>${comparisonTitle(data, "A small MobileCLIP, plain and reinforced")}</h1>
  <p class="lede">Two students saw ${integer(samplesSeen)} pairs of a picture and a caption, from ${integer(uniquePictures)} pictures with captions as
  careless as the web's. One learned from them alone. The other learned from the same pictures and from stored knowledge of two teachers and a
  captioner about them: multi-modal reinforced training. By their curves, ${efficiencyText(efficiency)}.</p>
  <p>${teachersText(precisePictures, renderedOrigin)} All models were trained from scratch here, in ${durationText(seconds)}.</p>
  ${figureList([
    ["reinforced", percent(endOf(reinforced))],
    ["plain", percent(endOf(plain))],
    ["guessing", percent(guessing)],
    [headlineNames.samples, efficiencyFigure(efficiency.noGain ? null : measure.samples)],
    [headlineNames.seconds, efficiencyFigure(efficiency.noGain ? null : measure.seconds)],
  ])}
</header>`
}

function accuracies({ tasks, retrieval }: ReportData): Html {
  return html`
<section>
  <h2>Zero-shot accuracy</h2>
  <p>The accuracy of the exported reinforced student on pictures it has not seen: the share of pictures for which the right words have the highest score. What it does best comes first; the upright mark is chance.</p>
  <table class="bars">
    <thead><tr><th>task</th><th></th><th>accuracy</th><th>chance</th><th>pictures</th></tr></thead>
    <tbody>${tasks.toSorted((a, b) => gainOf(b) - gainOf(a)).map(accuracyRow)}</tbody>
  </table>
  ${retrieval && retrievalTable(retrieval)}
</section>`
}

function accuracyRow({ name, accuracy, chance, images }: ReportTask): Html {
  return html`
<tr>
  <th scope="row">${name}</th>
  <td class="bar"><div><i style="width:${percent(accuracy)}"></i><s style="left:${percent(chance)}"></s></div></td>
  <td><b>${percent(accuracy)}</b></td><td>${percent(chance)}</td><td>${integer(images)}</td>
</tr>`
}

function retrievalTable({ images, texts, ...recall }: NonNullable<ReportData["retrieval"]>): Html {
  const row = (name: string, direction: "textToImage" | "imageToText") => html`
<tr><th scope="row">${name}</th>
${[recall.recallAt1, recall.recallAt5, recall.recallAt10].map((at) => html`<td>${percent(at[direction])}</td>`)}</tr>`
  return html`
<h3>Retrieval among ${integer(images)} pictures and ${integer(texts)} captions</h3>
<p>Every picture shows a combination that was not in the training set. By chance the first hit is right for ${percent(1 / images)}.</p>
<table class="plain">
  <thead><tr><th></th><th>in first 1</th><th>in first 5</th><th>in first 10</th></tr></thead>
  <tbody>${row("find the picture", "textToImage")}${row("find the caption", "imageToText")}</tbody>
</table>`
}

function pictures({ pictures, suggestion }: ReportData): Html {
  const chosen = suggestion
    ? `${suggestionText(suggestion)} These pictures are of that half, taken whatever the student says about them: ${rightText(pictures)} right.`
    : `${sentence(noSuggestionText)}. With every colour and shape as a label, ${rightText(pictures)} right.`
  return html`
<section>
  <h2>What it sees</h2>
  <p>${chosen} Under each picture its true caption, then the labels the model finds most likely. What it can and cannot do over all tasks follows.</p>
  <div class="pictures">${[...pictures.filter(isRight), ...pictures.filter((one) => !isRight(one))].map(card)}</div>
</section>`
}

function sentence(clause: string): string {
  return clause.charAt(0).toUpperCase() + clause.slice(1)
}

function card(picture: ReportPicture): Html {
  const { jpeg, caption, predictions, truth } = picture
  const right = isRight(picture)
  const answers = predictions.map(({ label, probability }) => {
    const isTrue = truth.includes(label)
    return { text: `${isTrue ? "✓ " : ""}${label}`, probability, isRight: isTrue }
  })
  return pictureCard({
    ...{ jpeg, alt: caption, isRight: right },
    text: html`
    <p class="verdict">${right ? "✓ right" : "✗ wrong"}</p>
    <p class="caption">${caption}</p>
    ${answerList(answers)}
  `,
  })
}

/** How far the accuracy has come from chance to 1. */
function gainOf({ accuracy, chance }: ReportTask): number {
  return (accuracy - chance) / (1 - chance)
}

function worstTask(tasks: readonly ReportTask[]): ReportTask | undefined {
  return tasks.toSorted((a, b) => gainOf(a) - gainOf(b))[0]
}

function confusion(task: ReportTask | undefined): Html {
  if (!task) return html``
  return html`
<section>
  <h2>Where it errs</h2>
  <p>The hardest task is <b>${task.name}</b>. Each row is a true class; its cells show, in percent, which class its pictures were taken for.</p>
  <div class="scroll"><table class="confusion">
    <thead><tr><td></td>${task.classNames.map((name) => html`<th scope="col"><span>${name}</span></th>`)}</tr></thead>
    <tbody>${task.confusion.map((counts, label) => confusionRow(task.classNames[label]!, counts, label))}</tbody>
  </table></div>
</section>`
}

function confusionRow(name: string, counts: readonly number[], label: number): Html {
  const total = counts.reduce((a, b) => a + b, 0)
  const cell = (count: number, i: number) => {
    const share = total > 0 ? Math.round((100 * count) / total) : 0
    // At most half of the colour, so that the figure stays legible.
    return html`<td class="${i === label ? "diagonal" : ""}" style="--share:${share / 2}%">${share > 0 ? share : ""}</td>`
  }
  return html`<tr><th scope="row">${name}</th>${counts.map(cell)}</tr>`
}

function machine({ machine, versions, model }: ReportData): Html {
  return measuredOn(machine, [
    [
      "versions",
      `mobileclip ${versions.mobileclip}, libtorch ${versions.libtorch}, ONNX Runtime ${versions.onnxruntime}, Node ${versions.node}`,
    ],
    [
      "model",
      `${model.name}: ${model.imageSize} pixels, ${millions(model.parameters.total)} parameters (image tower ${millions(model.parameters.image)}, text tower ${millions(model.parameters.text)}), vectors of ${model.embedDim}`,
    ],
  ])
}

function next({ next }: ReportData): Html {
  return html`
<section>
  <h2>Try next</h2>
  ${next.map(({ command, purpose }) => html`<p class="next">${purpose}</p><pre><code>${command}</code></pre>`)}
</section>`
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(count < 1e7 ? 2 : 1)} M`
}
