/** The page of a comparison: one HTML file that loads nothing, what matters most first. */
import { readJson, writeAtomically } from "../../host/files/files.ts"
import { htmlDocument } from "../../report/document.ts"
import { type Html, html } from "../../report/html.ts"
import { integer } from "../../report/numbers.ts"
import { figureList, type Term } from "../../report/terms.ts"
import { type LatencyReport, parseLatencyReport } from "../latency/latency-report.ts"
import type { AverageRow, Comparison } from "./compare.ts"
import { facesSection } from "./faces.ts"
import { plotsSection } from "./plots.ts"
import type { Cell, Difference, TaskRow } from "./task-rows.ts"
import { points } from "./task-rows.ts"
import { intervalText, methodTexts, overText, scoreText, signedPoints, verdictText, worthText } from "./words.ts"

/** What `mobileclip bench --json` printed, as a file. Throws UserError where it is not that. */
export async function readLatencyReport(path: string): Promise<LatencyReport> {
  return parseLatencyReport(await readJson(path, "a result of `mobileclip bench`"), path)
}

/** The folder of `path` must exist. */
export async function writeComparisonPage(
  path: string,
  comparison: Comparison,
  latency: LatencyReport | null = null,
): Promise<void> {
  await writeAtomically(path, [await comparisonPage(comparison, latency)])
}

/** A whole HTML document. */
export async function comparisonPage(comparison: Comparison, latency: LatencyReport | null = null): Promise<string> {
  const body = html`${headline(comparison)}
${averagesSection(comparison)}
${await plotsSection(comparison, latency)}
${tasksSection(comparison)}
${worthSection(comparison)}
${facesSection(comparison)}
${notesSection(comparison)}`
  return htmlDocument(titleOf(comparison), body, ownStyle)
}

function titleOf({ models }: Comparison): string {
  return models.length > 2 ? `${models.length} models compared` : models.map(({ name }) => name).join(" and ")
}

const ownStyle = `
ul { margin: 6px 0 14px; padding-left: 20px; max-width: 72ch; color: var(--soft); }
li { margin: 3px 0; }
.tasks { margin-top: 18px; }
.task { display: grid; grid-template-columns: 168px 1fr; gap: 2px 16px; padding: 9px 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.task h3 { margin: 0; font-size: 15px; font-weight: 500; line-height: 1.3; }
.task h3 small { display: block; color: var(--soft); font-size: 12px; font-weight: 400; }
.model { display: grid; grid-template-columns: 1fr 48px 186px; gap: 12px; align-items: center; font-size: 13px; line-height: 18px; font-variant-numeric: tabular-nums; }
.model b { text-align: right; }
.track { position: relative; height: 11px; background: var(--panel); border-radius: 2px; }
.track i { position: absolute; inset: 0 auto 0 0; background: var(--model); border-radius: 2px; }
.track u { position: absolute; top: 50%; height: 2px; margin-top: -1px; min-width: 2px; background: var(--ink); outline: 1px solid var(--page); }
.track s { position: absolute; top: -2px; bottom: -2px; width: 1px; background: var(--soft); }
.track em { position: absolute; top: 50%; width: 9px; height: 9px; margin: -5px 0 0 -5px; border-radius: 50%; background: var(--soft); opacity: 0.55; }
.track em.first { background: var(--accent); opacity: 1; outline: 2px solid var(--page); }
.model span { color: var(--soft); white-space: nowrap; }
.model .clear { color: var(--ink); font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 0; font-size: 14px; }
.key span::before { content: ""; display: inline-block; width: 12px; height: 12px; margin-right: 7px; border-radius: 2px; background: var(--model); vertical-align: -1px; }
.scores td { white-space: nowrap; vertical-align: top; }
.scores small { display: block; color: var(--soft); font-size: 12px; line-height: 1.35; }
.scores small.clear { color: var(--ink); font-weight: 600; }
.scores thead th { vertical-align: bottom; text-align: right; max-width: 110px; }
summary { cursor: pointer; margin-top: 14px; color: var(--soft); }
.worth td:last-child { text-align: left; color: var(--soft); white-space: normal; min-width: 220px; }
@media (max-width: 620px) {
  .task { grid-template-columns: 1fr; }
  .task h3 small { display: inline; margin-left: 6px; }
  .model { grid-template-columns: 1fr 40px 156px; gap: 8px; font-size: 12px; }
}
@media print { .task { padding: 5px 0; } section { break-inside: auto; } h2 { break-after: avoid; } }
`

/** In the order of the models; further ones have no bars. */
const colours = ["var(--accent)", "var(--wrong)", "var(--right)", "var(--fourth)"] as const

function headline(comparison: Comparison): Html {
  const { models, headline: row, averages } = comparison
  const without = averages.find(({ name }) => name.startsWith("Average of 38, "))
  return html`
<header>
  <p class="eyebrow">mobileclip evaluate compare</p>
  <h1>${verdictText(comparison)}</h1>
  ${row ? html`<p class="lede">${ledeText(comparison, row)}</p>` : null}
  ${row && models.length <= 4 ? figureList(figuresOf(comparison, row, without)) : null}
</header>`
}

function ledeText({ models, tasks }: Comparison, row: AverageRow): string {
  const [difference] = row.differences.slice(1)
  const among = tasks.filter(({ cells }) => cells.every((cell) => cell !== null))
  const clear = (sign: number) =>
    among.filter(({ differences: [, each] }) => each?.isChance === false && Math.sign(each.value) === sign).length
  const score = `In points, which are hundredths of each task's main metric, the mean ${overText(row).replace("on average ", "")}.`
  if (models.length > 2)
    return `${score} ${rankText(
      models.map(({ name }) => name),
      row,
    )}`
  if (!difference) return score
  const interval = difference.interval
    ? ` The difference is ${signedPoints(difference.value)}, and its 95 % interval goes from ${signedPoints(difference.interval.low)} to ${signedPoints(difference.interval.high)}.`
    : ""
  return `${score}${interval} Task by task, ${models[1]!.name} is clearly better in ${clear(1)} and clearly worse in ${clear(-1)} of ${among.length}; the other differences may be chance.`
}

/** "All are compared with MobileCLIP2-S0, which is 13th of 14." */
function rankText(names: readonly string[], { cells }: AverageRow): string {
  const above = cells.filter(({ value }) => value > cells[0]!.value).length
  const rank = above === 0 ? "the best" : `number ${above + 1}`
  return `All are compared with ${names[0]}, which is ${rank} of ${names.length}.`
}

function figuresOf({ models }: Comparison, row: AverageRow, without: AverageRow | undefined): Term[] {
  return models.flatMap(({ name }, i): Term[] => [
    [name, points(row.cells[i]!.value)],
    ...(without && models.length <= 2
      ? [[`${name}, FMoW without its region of four`, points(without.cells[i]!.value)] as const]
      : []),
  ])
}

// ---------------------------------------------------------------------------------------------------- averages

function averagesSection({ models, averages }: Comparison): Html {
  if (averages.length === 0) return html``
  const cell = (row: AverageRow, i: number) => html`<td>${cellText(row.cells[i]!, row.differences[i])}</td>`
  return html`
<section>
  <h2>Averages</h2>
  <p>Plain means of the tasks' main metrics, in points. ${models.length > 1 ? `Below each score its difference to ${models[0]!.name} with a 95 % interval, bold where it is more than chance.` : "Below each score its 95 % interval."}</p>
  <div class="scroll"><table class="plain scores">
    <thead><tr><th></th>${averages.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${models.map(({ name }, i) => html`<tr><th scope="row">${name}</th>${averages.map((row) => cell(row, i))}</tr>`)}
    <tr><th scope="row"><small>one answer is worth up to</small></th>${averages.map(({ worth }) => html`<td><small>${worth ? worthText(worth.most) : "-"}</small></td>`)}</tr></tbody>
  </table></div>
</section>`
}

function cellText(cell: Cell, difference: Difference | null | undefined): Html {
  const below = difference
    ? html`<small class="${difference.isChance === false ? "clear" : ""}">${signedPoints(difference.value)}</small><small>${difference.interval ? `${signedPoints(difference.interval.low)} to ${signedPoints(difference.interval.high)}` : ""}</small>`
    : html`<small>${intervalText(cell.interval)}</small>`
  return html`${points(cell.value)}${below}`
}

// ------------------------------------------------------------------------------------------------------- tasks

function tasksSection({ models, tasks }: Comparison): Html {
  const hasBars = models.length <= colours.length
  const key = models.map(({ name }, i) => html`<span style="--model:${colours[i]!}">${name}</span>`)
  const text = hasBars
    ? "Bars are main metrics in points, with 95 % intervals; the thin upright line is guessing. Differences are to the first model, in bold where they are more than chance."
    : `A dot for each model, that of ${models[0]!.name} in colour; numbers are its score, and the lowest and highest of all.`
  return html`
<section>
  <h2>Task by task</h2>
  <p>${text}</p>
  ${hasBars ? html`<p class="key">${key}</p>` : null}
  <div class="tasks">${tasks.map((row) =>
    hasBars
      ? barsOf(row)
      : dotsOf(
          row,
          models.map(({ name }) => name),
        ),
  )}</div>
</section>`
}

function taskTitle({ name, metric, answers }: TaskRow): Html {
  return html`<h3>${name}<small>${metricName(metric)}${answers === null ? "" : `, ${integer(answers)} answers`}</small></h3>`
}

const metricNames: Readonly<Record<string, string>> = {
  acc1: "accuracy",
  acc: "accuracy",
  mean_per_class_recall: "mean recall of classes",
  "mean_recall@1": "recall, both ways",
  "F1-macro_all": "macro F1",
  "jaccard_score_10-12": "Jaccard index",
  acc_worst_region: "worst region",
  acc_wg: "worst group",
  acc_top5_wg: "worst group, top 5",
}

function metricName(metric: string): string {
  return metricNames[metric] ?? metric.replaceAll("_", " ")
}

function barsOf(row: TaskRow): Html {
  const bars = row.cells.map((cell, i) => modelBar(cell, row.differences[i], row.chance, colours[i]!))
  return html`<div class="task">${taskTitle(row)}<div>${bars}</div></div>`
}

function modelBar(
  cell: Cell | null,
  difference: Difference | null | undefined,
  chance: number | null,
  colour: string,
): Html {
  const text = cell ? (difference ? differenceHtml(difference) : html`${intervalText(cell.interval)}`) : html`no result`
  const interval = cell?.interval
  const whisker = interval
    ? html`<u style="left:${share(interval.low)};width:${share(interval.high - interval.low)}"></u>`
    : null
  return html`<div class="model" style="--model:${colour}"><div class="track">${cell ? html`<i style="width:${share(cell.value)}"></i>` : null}${chance === null ? null : html`<s style="left:${share(chance)}"></s>`}${whisker}</div><b>${scoreText(cell)}</b><span>${text}</span></div>`
}

/** In bold where it is more than chance. */
function differenceHtml({ value, interval, isChance }: Difference): Html {
  const number = isChance === false ? html`<b class="clear">${signedPoints(value)}</b>` : html`${signedPoints(value)}`
  return interval === null ? number : html`${number} (${signedPoints(interval.low)} to ${signedPoints(interval.high)})`
}

function dotsOf(row: TaskRow, names: readonly string[]): Html {
  const values = row.cells.flatMap((cell) => (cell ? [cell.value] : []))
  const dot = (cell: Cell | null, i: number) =>
    cell
      ? html`<em class="${i === 0 ? "first" : ""}" style="left:${share(cell.value)}" title="${names[i]!} ${points(cell.value)}"></em>`
      : html``
  // The first one is drawn last, over the others.
  const dots = row.cells.map(dot).toReversed()
  const mark = row.chance === null ? null : html`<s style="left:${share(row.chance)}"></s>`
  return html`<div class="task">${taskTitle(row)}<div class="model"><div class="track">${mark}${dots}</div><b>${scoreText(row.cells[0])}</b><span>${points(Math.min(...values))} to ${points(Math.max(...values))}</span></div></div>`
}

function share(value: number): string {
  return `${(100 * Math.max(0, Math.min(1, value))).toFixed(2)}%`
}

// ------------------------------------------------------------------------------------------------------- worth

function worthSection({ tasks, averages }: Comparison): Html {
  const known = tasks.flatMap(({ worth, ...row }) => (worth ? [{ ...row, worth }] : []))
  if (known.length === 0) return html``
  const all = averages.find(({ name }) => name === "Average of 38")
  const rank = ({ key, worth }: (typeof known)[number]) => (all?.keys.includes(key) ? 1 : 0) + worth.most
  // Those that are averaged come first.
  const rows = known.toSorted((a, b) => rank(b) - rank(a))
  const row = ({ key, name, answers, worth }: (typeof rows)[number]) => html`
<tr><th scope="row">${name}</th><td>${answers === null ? "-" : integer(answers)}</td><td>${worthText(worth.usual)}</td><td>${worthText(worth.most)}</td>${all ? html`<td>${all.keys.includes(key) ? worthText(worth.most / 38) : ""}</td>` : null}<td>${worth.note}</td></tr>`
  const table = (some: typeof rows) => html`
  <div class="scroll"><table class="plain worth">
    <thead><tr><th></th><th>answers</th><th>usual</th><th>most</th>${all ? html`<th>in the average</th>` : null}<th></th></tr></thead>
    <tbody>${some.map(row)}</tbody>
  </table></div>`
  const others = rows.slice(shownWorths)
  return html`
<section>
  <h2>What one answer is worth</h2>
  <p>By how many points one answer more can move a task's score, and the average.${all ? fmowText : ""}</p>
  ${table(rows.slice(0, shownWorths))}
  ${others.length > 0 ? html`<details><summary>${others.length} more</summary>${table(others)}</details>` : null}
</section>`
}

/** Rows that are shown before the others are unfolded. */
const shownWorths = 12

const fmowText =
  " FMoW's score is that of its worst region, and one region has four pictures: an answer there is worth up to 25 points of the task and 0.66 of the average over 38, which is more than lies between some models. So the average is given without that region too."

function notesSection(comparison: Comparison): Html {
  return html`
<section>
  <h2>How sure this is</h2>
  <ul>${[...comparison.notes, ...methodTexts(comparison)].map((text) => html`<li>${text}</li>`)}</ul>
</section>`
}
