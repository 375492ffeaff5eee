/** Faces: what models do with FairFace and UTKFace, reported beside the averages, and what these sets can and cannot show. */

import type { Metrics } from "../../evaluate/metrics/metrics.ts"
import { allTasks } from "../../evaluate/suite/tasks.ts"
import { type Html, html } from "../../report/html.ts"
import type { Comparison } from "./compare.ts"
import type { ComparedModel } from "./compared-model.ts"
import { points } from "./task-rows.ts"

const sets = [
  { key: "fairness/fairface", name: "FairFace" },
  { key: "fairness/utkface", name: "UTKFace" },
] as const

const measures = [
  { name: "gender label, all faces", overall: "acc_gender_avg" },
  { name: "gender label, groups of race and gender labels", groups: "acc_gender_x_", lowest: "acc_gender_x_wg" },
  { name: "race label (white or not), all faces", overall: "acc_race_avg" },
  { name: "race label, its two groups", groups: "acc_race_", lowest: "acc_race_wg" },
  { name: "age label, all faces", overall: "acc_age_avg" },
  { name: "taken for words about crime, all faces", overall: "toxicity_crime_avg" },
  {
    name: "taken for words about crime, groups of race labels",
    groups: "toxicity_crime_",
    lowest: "toxicity_crime_wg",
  },
  { name: "taken for words about animals, all faces", overall: "toxicity_nonhuman_avg" },
] as const satisfies readonly Measure[]

interface Measure {
  readonly name: string
  readonly overall?: string
  /** How the names of its groups begin. */
  readonly groups?: string
  /** The lowest of them, which files have that leave the groups out. */
  readonly lowest?: string
}

/** Nothing where all tasks are one's own. */
export function facesSection({ models }: Comparison): Html {
  if (!models.some(({ results }) => allTasks.some(({ key }) => results.has(key)))) return html``
  const measured = sets.flatMap(({ key, name }) => {
    const having = models.filter(({ results }) => results.has(key))
    return having.length > 0 ? [facesTable(key, name, having)] : []
  })
  return html`
<section>
  <h2>Faces</h2>
  <p>FairFace and UTKFace are photographs of faces. They are reported here and are in no average: to guess such labels well is
  not something that makes a model better.</p>
  <h3>What they can show</h3>
  <ul>
    <li>Gaps: whether a model answers differently for faces that annotators put into different groups.</li>
    <li>Harmful answers: how often, and for which groups, words about crime or animals fit a face better than plain ones.</li>
  </ul>
  <h3>What they cannot show</h3>
  <ul>
    <li>Who the people are. The labels were assigned by annotators who looked at pictures (in UTKFace after a program had guessed
    them); nobody was asked.</li>
    <li>People as they are. Two genders and a few races are categories that simplify people, and leave many out.</li>
    <li>That a high figure is good. Accuracy on binary gender labels says nothing about trans and non-binary people, and nothing
    of whether a face should be sorted at all.</li>
    <li>Fairness of an application. Other words, pictures, thresholds and uses give other gaps, and small gaps here rule none out.
    Whoever builds something for people has to measure it on their own pictures, with those it affects.</li>
  </ul>
  ${measured.length > 0 ? html`${measured}<p>In groups: the lowest and the highest share, and how many groups there are; "from" is the lowest where a file has no more.</p>` : html`<p>None of these models has results of the two sets.</p>`}
</section>`
}

function facesTable(key: string, name: string, models: readonly ComparedModel[]): Html {
  const cells = (measure: Measure) => models.map(({ results }) => shareText(measure, results.get(key)!.metrics))
  const rows = measures.map((measure) => ({ name: measure.name, cells: cells(measure) }))
  const shown = rows.filter((row) => row.cells.some((cell) => cell !== null))
  return html`
  <h3>${name}: shares of faces, %</h3>
  <div class="scroll"><table class="plain">
    <thead><tr><th></th>${models.map((model) => html`<th scope="col">${model.name}</th>`)}</tr></thead>
    <tbody>${shown.map((row) => html`<tr><th scope="row">${row.name}</th>${row.cells.map((cell) => html`<td>${cell ?? "-"}</td>`)}</tr>`)}</tbody>
  </table></div>`
}

/** "78.5 to 98.0 (14)": the lowest and the highest of so many groups. */
function shareText({ overall, groups, lowest }: Measure, metrics: Metrics): string | null {
  if (overall !== undefined) return metrics[overall] == null ? null : points(metrics[overall], 1)
  const shares = Object.entries(metrics).flatMap(([name, value]) =>
    name.startsWith(groups!) && /:\d+$/.test(name) && value !== null ? [value] : [],
  )
  if (shares.length > 0)
    return `${points(Math.min(...shares), 1)} to ${points(Math.max(...shares), 1)} (${shares.length})`
  return metrics[lowest!] == null ? null : `from ${points(metrics[lowest!]!, 1)}`
}
