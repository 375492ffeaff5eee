/** The page of the report: one section per function, from what matters most to what is looked up. */

import { Html, html } from "../../report/html.ts"
import { style } from "../../report/style.ts"
import { durationText } from "../progress.ts"
import { lossChart, stepChart } from "./charts.ts"
import { isRight, pictureGrid } from "./pictures.ts"
import type { ReportData, ReportTask } from "./report.ts"

/** A whole HTML document that loads nothing. */
export async function reportPage(data: ReportData): Promise<string> {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>mobileclip quickstart</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${headline(data)}
${accuracies(data)}
${pictures(data)}
${await curves(data)}
${confusion(worstTask(data.tasks))}
${stages(data)}
${machine(data)}
${next(data)}
</main>
</body>
</html>
`
  return page.text
}

function headline({ seconds, samplesSeen, model, training }: ReportData): Html {
  return html`
<header>
  <p class="eyebrow">mobileclip quickstart</p>
  <h1>A small MobileCLIP, trained from scratch in ${durationText(seconds)}</h1>
  <p class="lede">It learned from ${integer(samplesSeen)} pairs of a picture and its caption, and was never told what a
  class is. Below it names things in pictures it has not seen, by comparing them with words.</p>
  <dl class="figures">
    <div><dt>parameters</dt><dd>${millions(model.parameters.total)}</dd></div>
    <div><dt>picture size</dt><dd>${model.imageSize} px</dd></div>
    <div><dt>pairs a second</dt><dd>${integer(training.samplesPerSecond)}</dd></div>
    <div><dt>final loss</dt><dd>${training.finalLoss.toFixed(2)}</dd></div>
  </dl>
</header>`
}

function accuracies({ tasks, retrieval }: ReportData): Html {
  return html`
<section>
  <h2>Zero-shot accuracy</h2>
  <p>The share of pictures for which the right words came first. The upright mark is chance.</p>
  <table class="bars">
    <thead><tr><th>task</th><th></th><th>accuracy</th><th>chance</th><th>pictures</th></tr></thead>
    <tbody>${tasks.map(accuracyRow)}</tbody>
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
<p>Every picture shows a combination that training left out. By chance the first hit is right for ${percent(1 / images)}.</p>
<table class="plain">
  <thead><tr><th></th><th>in first 1</th><th>in first 5</th><th>in first 10</th></tr></thead>
  <tbody>${row("find the picture", "textToImage")}${row("find the caption", "imageToText")}</tbody>
</table>`
}

function pictures({ pictures }: ReportData): Html {
  return html`
<section>
  <h2>What it sees</h2>
  <p>${pictures.filter(isRight).length} of ${pictures.length} right. Under each picture its true caption, then the labels the model finds
  most likely.</p>
  ${pictureGrid(pictures)}
</section>`
}

async function curves({ losses, training }: ReportData): Promise<Html> {
  const [wide, narrow, rate, scale] = await Promise.all([
    lossChart(losses, training.batchSize, 880),
    lossChart(losses, training.batchSize, 360),
    stepChart(losses, "learningRate", 420),
    stepChart(losses, "logitScale", 420),
  ])
  const chart = (svg: string, label: string, kind = "") =>
    html`<div class="chart ${kind}" role="img" aria-label="${label}">${new Html(svg)}</div>`
  const summary = `Contrastive loss over ${training.steps} steps, ending at ${training.finalLoss.toFixed(2)}`
  return html`
<section>
  <h2>How it learned</h2>
  <p>Contrastive loss of ${integer(training.steps)} steps with ${integer(training.batchSize)} pairs each: every picture looks for its caption among
  the ${integer(training.batchSize)}. Thin: single steps; bold: their moving average.</p>
  ${chart(wide, summary, "wide")}${chart(narrow, summary, "narrow")}
  <div class="pair">
    <figure><figcaption>learning rate</figcaption>${chart(rate, "Learning rate over the steps")}</figure>
    <figure><figcaption>logit scale (1 / temperature)</figcaption>${chart(scale, "Logit scale over the steps")}</figure>
  </div>
</section>`
}

/** The task with the smallest part of the way from chance to 1. */
function worstTask(tasks: readonly ReportTask[]): ReportTask | undefined {
  const gain = ({ accuracy, chance }: ReportTask) => (accuracy - chance) / (1 - chance)
  return [...tasks].sort((a, b) => gain(a) - gain(b))[0]
}

function confusion(task: ReportTask | undefined): Html {
  if (!task) return html``
  return html`
<section>
  <h2>Where it errs</h2>
  <p>The hardest task is <b>${task.name}</b>. Each row is a true class; its cells say into which class its pictures went, in percent.</p>
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
    // Half strength at most, so that the figure stays legible on it.
    return html`<td class="${i === label ? "diagonal" : ""}" style="--share:${share / 2}%">${share > 0 ? share : ""}</td>`
  }
  return html`<tr><th scope="row">${name}</th>${counts.map(cell)}</tr>`
}

function stages({ stages, seconds }: ReportData): Html {
  const longest = Math.max(...stages.map((stage) => stage.seconds))
  const row = (stage: ReportData["stages"][number]) => html`
<tr>
  <th scope="row">${stage.name}</th>
  <td class="bar"><div><i style="width:${percent(stage.seconds / longest)}"></i></div></td>
  <td>${durationText(stage.seconds)}</td>
</tr>`
  return html`
<section>
  <h2>Where the time went</h2>
  <table class="bars">
    <tbody>${stages.map(row)}</tbody>
    <tfoot><tr><th scope="row">all</th><td></td><td>${durationText(seconds)}</td></tr></tfoot>
  </table>
</section>`
}

function machine({ machine, versions, model }: ReportData): Html {
  const rows = [
    ["processor", `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB`],
    ["system", machine.os],
    [
      "versions",
      `mobileclip ${versions.mobileclip}, libtorch ${versions.libtorch}, ONNX Runtime ${versions.onnxruntime}, Node ${versions.node}`,
    ],
    [
      "model",
      `${model.name}: image tower ${millions(model.parameters.image)}, text tower ${millions(model.parameters.text)}, vectors of ${model.embedDim}`,
    ],
  ] as const
  return html`
<section>
  <h2>Measured on</h2>
  <dl class="facts">${rows.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
</section>`
}

function next({ next }: ReportData): Html {
  return html`
<section>
  <h2>Try next</h2>
  ${next.map(({ command, purpose }) => html`<p class="next">${purpose}</p><pre><code>${command}</code></pre>`)}
</section>`
}

/** 0.0834 -> "8.3%" */
function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}

function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(count < 1e7 ? 2 : 1)} M`
}
