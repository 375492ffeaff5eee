/** The page of the comparison on CIFAR-10. */
import { join } from "node:path"
import { headlineOf } from "../../evaluate/efficiency.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { htmlDocument } from "../../report/document.ts"
import { type Html, html } from "../../report/html.ts"
import { measuredOn } from "../../report/machine.ts"
import { durationText, integer, percent } from "../../report/numbers.ts"
import { pictureCard } from "../../report/picture-card.ts"
import { figureList } from "../../report/terms.ts"
import {
  accuracyFigure,
  comparisonTitle,
  efficiencyFigure,
  efficiencySection,
  efficiencyText,
  endOf,
  headlineNames,
  meanAt,
  teachersText,
} from "../comparison/learning-efficiency.ts"
import { stagesSection } from "../comparison/stages.ts"
import { templates } from "./classes.ts"
import type { CaptionExample, Cifar10Report } from "./report-data.ts"
import { dataEfficiency } from "./subsets-page.ts"

/** Whose pictures the teachers saw. */
export const cifar10Origin = "of the same benchmark's training set"

/** Writes `report.html` (one file, needs no network) and `report.json` into `directory`, which must exist. */
export async function writeCifar10Report(
  directory: string,
  report: Cifar10Report,
  pictures: readonly CaptionExample[],
): Promise<void> {
  await writeAtomically(join(directory, "report.html"), [await cifar10Page(report, pictures)])
  await writeAtomically(join(directory, "report.json"), [`${JSON.stringify(report, null, 2)}\n`])
}

/** A whole HTML document that loads nothing. */
async function cifar10Page(report: Cifar10Report, pictures: readonly CaptionExample[]): Promise<string> {
  const body = html`${headline(report)}
${await curves(report)}
${await dataEfficiency(report)}
${teachers(report)}
${captions(report, pictures)}
${stagesSection(report)}
${machine(report)}`
  return htmlDocument("Plain and reinforced training on CIFAR-10", body)
}

function headline({ efficiency, samplesSeen, pictures, plain, reinforced, guessing, seconds }: Cifar10Report): Html {
  const measure = headlineOf(efficiency)
  return html`
<header>
  <p class="eyebrow">mobileclip on CIFAR-10</p>
  <h1>${comparisonTitle({ plain, reinforced }, "Plain and reinforced training on real photographs")}</h1>
  <p class="lede">The same student saw ${integer(samplesSeen)} pairs from ${integer(pictures.unique)} photographs with careless captions: once as they
  are, once with stored knowledge of teachers about them. By their curves, ${efficiencyText(efficiency)}.</p>
  <p>${teachersText(pictures.precise, cifar10Origin)} All models were trained from scratch here, in ${durationText(seconds)}.</p>
  ${figureList([
    ["reinforced", percent(endOf(reinforced))],
    ["plain", percent(endOf(plain))],
    ["guessing", percent(guessing)],
    [headlineNames.samples, efficiencyFigure(efficiency.noGain ? null : measure.samples)],
    [headlineNames.seconds, efficiencyFigure(efficiency.noGain ? null : measure.seconds)],
  ])}
</header>`
}

async function curves(report: Cifar10Report): Promise<Html> {
  const { plain, reinforced, pictures, samplesPerSecond, guessing, efficiency } = report
  const row = (samples: number, i: number) => html`
<tr><th scope="row">${integer(samples)}</th><td>${percent(meanAt(plain, i))}</td><td>${percent(meanAt(reinforced, i))}</td></tr>`
  return html`
<section>
  <h2>Zero-shot accuracy over samples seen</h2>
  <p>By the benchmark's protocol: each of ten classes is the mean of ${templates.length} prompts. All ${integer(pictures.test)} test
  pictures count; guessing gives ${percent(guessing)}. Plain training made ${integer(samplesPerSecond.plain)} samples/s, reinforced
  ${integer(samplesPerSecond.reinforced)}.</p>
  ${await accuracyFigure(report)}
  <table class="plain">
    <thead><tr><th>samples</th><th>plain</th><th>reinforced</th></tr></thead>
    <tbody>${plain[0]!.map(({ samplesSeen }, i) => row(samplesSeen, i))}</tbody>
  </table>
  ${efficiencySection(efficiency)}
</section>`
}

function teachers({ teachers, captioner, pictures, reinforceCommands }: Cifar10Report): Html {
  const row = (
    name: string,
    { samplesSeen, average }: Cifar10Report["captioner"] | Cifar10Report["teachers"][number],
  ) => html`
<tr><th scope="row">${name}</th><td>${integer(samplesSeen)}</td><td>${percent(average)}</td></tr>`
  return html`
<section>
  <h2>Who they learned from</h2>
  <p>${teachersText(pictures.precise, cifar10Origin)} Their own accuracy on the same test:</p>
  <table class="plain">
    <thead><tr><th></th><th>samples</th><th>accuracy</th></tr></thead>
    <tbody>${teachers.map((teacher) => row(`teacher ${teacher.name}`, teacher))}${row("captioner", captioner)}</tbody>
  </table>
  <p>${percent(captioner.trueCaptions)} of the captions it wrote for the students' pictures name the class and no other.</p>
  <p class="next">How the students' pictures were reinforced:</p>
  <pre><code>${reinforceCommands.join("\n")}</code></pre>
</section>`
}

function captions({ captions: mix }: Cifar10Report, pictures: readonly CaptionExample[]): Html {
  const card = ({ picture, caption, syntheticCaption, label, kind }: CaptionExample) =>
    pictureCard({
      ...{ jpeg: picture.bytes, alt: label, isRight: kind !== "wrongName" },
      text: html`<p class="caption">${caption}</p><p>${syntheticCaption}</p><p>${label}</p>`,
    })
  return html`
<section>
  <h2>Careless captions</h2>
  <p>${percent(mix.named)} of a student's captions name the class, ${percent(mix.otherName)} call it by another name, ${percent(mix.wrongName)} name another
  class, ${percent(mix.fileName)} are file names and ${percent(mix.boilerplate)} say nothing. The first pictures, each with its caption, the captioner's and
  its class:</p>
  <div class="pictures">${pictures.map(card)}</div>
</section>`
}

function machine({ machine, versions }: Cifar10Report): Html {
  return measuredOn(machine, [
    ["versions", `mobileclip ${versions.mobileclip}, libtorch ${versions.libtorch}, Node ${machine.node}`],
  ])
}
