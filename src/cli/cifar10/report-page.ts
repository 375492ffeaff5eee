/** The page of the comparison on CIFAR-10. */
import { Html, html } from "../../report/html.ts"
import { style } from "../../report/style.ts"
import { accuracyFigure, meanAt } from "../comparison/accuracy-figure.ts"
import { durationText } from "../progress.ts"
import { templates } from "./classes.ts"
import { type CaptionExample, type Cifar10Report, efficiencyText } from "./report.ts"

/** A whole HTML document that loads nothing. */
export async function cifar10Page(report: Cifar10Report, pictures: readonly CaptionExample[]): Promise<string> {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Plain and reinforced training on CIFAR-10</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${headline(report)}
${await curves(report)}
${teachers(report)}
${captions(report, pictures)}
${stages(report)}
${machine(report)}
</main>
</body>
</html>
`
  return page.text
}

function headline({ efficiencyRatio, samplesSeen, pictures, plain, reinforced, seconds }: Cifar10Report): Html {
  const ratio = efficiencyRatio.median
  const last = plain[0]!.length - 1
  return html`
<header>
  <p class="eyebrow">mobileclip on CIFAR-10</p>
  <h1>${ratio >= 1.05 ? `${ratio.toFixed(1)} times fewer samples for the same accuracy` : "Plain and reinforced training on real photographs"}</h1>
  <p class="lede">The same student saw ${integer(samplesSeen)} pairs from ${integer(pictures.unique)} photographs with careless captions: once as they
  are, once with what teachers know of them stored beside. All was trained from scratch here, in ${durationText(seconds)}.</p>
  <dl class="figures">
    <div><dt>learning efficiency</dt><dd>${ratio > 0 ? `${ratio.toFixed(1)}x` : "not reached"}</dd></div>
    <div><dt>plain</dt><dd>${percent(meanAt(plain, last))}</dd></div>
    <div><dt>reinforced</dt><dd>${percent(meanAt(reinforced, last))}</dd></div>
    <div><dt>test pictures</dt><dd>${integer(pictures.test)}</dd></div>
  </dl>
</header>`
}

async function curves(report: Cifar10Report): Promise<Html> {
  const { plain, reinforced, pictures, samplesPerSecond, guessing } = report
  const row = (samples: number, i: number) => html`
<tr><th scope="row">${integer(samples)}</th><td>${percent(meanAt(plain, i))}</td><td>${percent(meanAt(reinforced, i))}</td></tr>`
  return html`
<section>
  <h2>Zero-shot accuracy over samples seen</h2>
  <p>By the benchmark's protocol: each of ten classes is the mean of ${templates.length} prompts. All ${integer(pictures.test)} test
  pictures count; guessing gives ${percent(guessing)}. By these curves
  ${efficiencyText(report)}. Plain training made ${integer(samplesPerSecond.plain)} samples/s, reinforced
  ${integer(samplesPerSecond.reinforced)}.</p>
  ${await accuracyFigure(report)}
  <table class="plain">
    <thead><tr><th>samples</th><th>plain</th><th>reinforced</th></tr></thead>
    <tbody>${plain[0]!.map(({ samplesSeen }, i) => row(samplesSeen, i))}</tbody>
  </table>
</section>`
}

function teachers({ teachers, pictures, reinforceCommand }: Cifar10Report): Html {
  const row = ({ name, samplesSeen, average }: Cifar10Report["teachers"][number]) => html`
<tr><th scope="row">teacher ${name}</th><td>${integer(samplesSeen)}</td><td>${percent(average)}</td></tr>`
  return html`
<section>
  <h2>Who they learned from</h2>
  <p>Teachers saw ${integer(pictures.precise)} other pictures, with precise captions. Their own accuracy on the same test:</p>
  <table class="plain">
    <thead><tr><th></th><th>samples</th><th>accuracy</th></tr></thead>
    <tbody>${teachers.map(row)}</tbody>
  </table>
  <p class="next">How the students' pictures were reinforced:</p>
  <pre><code>${reinforceCommand}</code></pre>
</section>`
}

function captions({ captions: mix }: Cifar10Report, pictures: readonly CaptionExample[]): Html {
  const card = ({ jpeg, caption, label, kind }: CaptionExample) => html`
<figure class="card ${kind === "wrongName" ? "wrong" : "right"}">
  <img src="data:image/jpeg;base64,${Buffer.from(jpeg).toString("base64")}" alt="${label}">
  <figcaption><p class="caption">${caption}</p><p>${label}</p></figcaption>
</figure>`
  return html`
<section>
  <h2>Careless captions</h2>
  <p>Of a student's captions ${percent(mix.named)} name the class, ${percent(mix.otherName)} call it by another name, ${percent(mix.wrongName)} name another
  class, ${percent(mix.fileName)} are file names and ${percent(mix.boilerplate)} say nothing. The first pictures, each with its caption and its class:</p>
  <div class="pictures">${pictures.map(card)}</div>
</section>`
}

function stages({ stages, seconds }: Cifar10Report): Html {
  const row = (stage: Cifar10Report["stages"][number]) => html`
<tr><th scope="row">${stage.name}</th><td>${durationText(stage.seconds)}</td></tr>`
  return html`
<section>
  <h2>Where the time went</h2>
  <table class="plain"><tbody>${stages.map(row)}<tr><th scope="row">all</th><td>${durationText(seconds)}</td></tr></tbody></table>
</section>`
}

function machine({ machine, versions }: Cifar10Report): Html {
  const rows = [
    ["processor", `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB`],
    ["system", machine.os],
    ["versions", `mobileclip ${versions.mobileclip}, libtorch ${versions.libtorch}, Node ${machine.node}`],
  ] as const
  return html`
<section>
  <h2>Measured on</h2>
  <dl class="facts">${rows.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
</section>`
}

/** 0.0834 -> "8.3%" */
function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}

function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}
