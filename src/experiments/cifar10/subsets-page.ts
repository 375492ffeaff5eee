/** The part of the page that compares accuracy over the number of different pictures. */
import { wideFigure } from "../../report/chart.ts"
import { type Html, html } from "../../report/html.ts"
import { integer, percent } from "../../report/numbers.ts"
import { endOf } from "../comparison/learning-efficiency.ts"
import type { Cifar10Report } from "./report-data.ts"

/** Nothing, where no subsets were asked for. */
export async function dataEfficiency({ subsets, samplesSeen }: Cifar10Report): Promise<Html> {
  if (subsets.length === 0) return html``
  const row = ({ unique, plain, reinforced }: Subset) => html`
<tr><th scope="row">${integer(unique)}</th><td>${integer(samplesSeen / unique)}</td><td>${percent(endOf(plain))}</td><td>${percent(endOf(reinforced))}</td></tr>`
  const points = (kind: "plain" | "reinforced") => subsets.map((each) => ({ x: each.unique, y: endOf(each[kind]) }))
  const curves = (["plain", "reinforced"] as const).map((name) => ({ name, points: points(name) }))
  return html`
<section>
  <h2>Accuracy over different pictures</h2>
  <p>${dataEfficiencyText(subsets)} Every student saw ${integer(samplesSeen)} samples; those with fewer pictures saw each more often. The teachers are the same for all.</p>
  ${await wideFigure(curves, {
    label: "Accuracy at the end over the number of different pictures",
    xTitle: "different pictures",
    format: ".0%",
    marked: true,
    logarithmic: true,
  })}
  <table class="plain">
    <thead><tr><th>pictures</th><th>times each was seen</th><th>plain</th><th>reinforced</th></tr></thead>
    <tbody>${subsets.map(row)}</tbody>
  </table>
</section>`
}

type Subset = Cifar10Report["subsets"][number]

/** With how few pictures reinforced training is as good as plain training with all, as a sentence. */
function dataEfficiencyText(subsets: Cifar10Report["subsets"]): string {
  const all = subsets.at(-1)!
  const enough = subsets.find(({ reinforced }) => endOf(reinforced) >= endOf(all.plain))
  const plain = `plain training with all ${integer(all.unique)} (${percent(endOf(all.plain))})`
  if (enough === undefined) return `Reinforced training did not reach ${plain}.`
  const pictures = enough === all ? "all" : integer(enough.unique)
  return `Reinforced training with ${pictures} pictures (${percent(endOf(enough.reinforced))}) is as good as ${plain}, or better.`
}
