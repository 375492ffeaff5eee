/**
 * Models compared: by task, by groups of tasks, and in two averages, the official one over 38 tasks and one without FMoW's
 * region of four pictures. All differences are to the first model.
 */
import { type TaskGroup, taskGroups } from "../../evaluate/suite/averages.ts"
import { allTasks, findTask } from "../../evaluate/suite/tasks.ts"
import { type BootstrapOptions, bootstrapDefaults } from "./bootstrap.ts"
import { type ComparedModel, openModels } from "./compared-model.ts"
import { type Estimate, meanInterval } from "./intervals.ts"
import { type Cell, type Difference, shortList, type TaskRow, taskRow, withVerdict } from "./task-rows.ts"

export interface CompareOptions extends BootstrapOptions {
  /** RUN folders, folders of them, files of results; names of published models are taken too. */
  readonly runs: readonly string[]
  /** Names of published models; `all` for every one. */
  readonly published?: readonly string[]
  /** Default: `suite`. */
  readonly sort?: TaskOrder
}

/** The suite's order, or the largest difference, score of the first model, or worth of an answer first. */
export const taskOrders = ["suite", "difference", "score", "worth", "name"] as const
export type TaskOrder = (typeof taskOrders)[number]

/** The mean over tasks. */
export interface AverageRow {
  readonly name: string
  /** Keys it is over: those that all models have. */
  readonly keys: readonly string[]
  /** How many tasks the group has. */
  readonly of: number
  readonly cells: readonly Cell[]
  readonly differences: readonly (Difference | null)[]
  /** What one answer can move it by: the usual one of its tasks, and the one that counts most, 0 to 1. */
  readonly worth: { readonly usual: number; readonly most: number; readonly task: string } | null
}

export interface Comparison {
  readonly models: readonly ComparedModel[]
  readonly tasks: readonly TaskRow[]
  readonly averages: readonly AverageRow[]
  /** The row that a verdict is made of; null where models have no task in common. */
  readonly headline: AverageRow | null
  /** Draws of the bootstrap. */
  readonly resamples: number
  /** What is not alike, and what is missing. */
  readonly notes: readonly string[]
}

/** @throws UserError where results cannot be read, or a name is not that of a published model */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const models = await openModels(options.runs, options.published)
  const rows: TaskRow[] = []
  const notes: string[] = []
  for (const key of keysOf(models)) {
    const found = await taskRow(key, models, options)
    if (!found) continue
    rows.push(found.row)
    notes.push(...found.notes)
  }
  const withoutOther = (await taskRow("wilds/fmow", models, { ...options, withoutOther: true }))?.row ?? null
  const averages = averagesOf(rows, withoutOther)
  return {
    resamples: options.resamples ?? bootstrapDefaults.resamples,
    ...{ models, averages, tasks: sorted(rows, options.sort ?? "suite"), headline: headlineOf(averages) },
    notes: [...settingsNotes(models), ...folded(notes), ...missingNotes(rows, models)],
  }
}

/** In the suite's order, then others in that of the files. */
function keysOf(models: readonly ComparedModel[]): string[] {
  const found = new Set(models.flatMap(({ results }) => [...results.keys()]))
  const known = allTasks.map(({ key }) => key).filter((key) => found.has(key))
  return [...known, ...[...found].filter((key) => findTask(key) === null)]
}

function sorted(rows: readonly TaskRow[], order: TaskOrder): TaskRow[] {
  const by = (value: (row: TaskRow) => number) => rows.toSorted((a, b) => value(b) - value(a))
  switch (order) {
    case "suite":
      return [...rows]
    case "difference":
      return by(({ differences }) =>
        Math.max(-1, ...differences.flatMap((each) => (each ? [Math.abs(each.value)] : []))),
      )
    case "score":
      return by(({ cells }) => cells[0]?.value ?? -1)
    case "worth":
      return by(({ worth }) => worth?.most ?? -1)
    case "name":
      return rows.toSorted((a, b) => a.name.localeCompare(b.name, "en"))
    default:
      return order satisfies never
  }
}

// ---------------------------------------------------------------------------------------------------- averages

function averagesOf(rows: readonly TaskRow[], withoutOther: TaskRow | null): AverageRow[] {
  const common = new Map(rows.filter(({ cells }) => cells.every((cell) => cell !== null)).map((row) => [row.key, row]))
  const own = [...common.values()].filter(({ key }) => !findTask(key)?.counted)
  return [
    ...taskGroups.flatMap((group) => groupAverage(group, common, withoutOther)),
    ...(own.length > 0 ? [averageRow(besideTitle(own), own, own.length)] : []),
  ]
}

function besideTitle(rows: readonly TaskRow[]): string {
  return rows.length === 1 ? rows[0]!.name : `Mean of ${rows.length} tasks that are not of the 38`
}

function groupAverage(
  group: TaskGroup,
  common: ReadonlyMap<string, TaskRow>,
  withoutOther: TaskRow | null,
): AverageRow[] {
  const rows = group.keys.flatMap((key) => common.get(key) ?? [])
  const isWhole = rows.length === group.keys.length
  if (rows.length === 0) return []
  if (!group.withoutOther)
    return [averageRow(isWhole ? titleOf(group) : partTitle(group, rows), rows, group.keys.length)]
  if (!common.has("wilds/fmow") || !withoutOther) return []
  const other = rows.map((row) => (row.key === withoutOther.key ? withoutOther : row))
  const title = `${isWhole ? "Average of 38" : `Mean of ${rows.length}`}, FMoW without its region of four`
  return [averageRow(title, other, group.keys.length)]
}

function titleOf({ name, keys }: TaskGroup): string {
  const titles: Readonly<Record<string, string>> = {
    "ImageNet dist. shifts": `ImageNet shifts (${keys.length})`,
    Average: `Average of ${keys.length}`,
  }
  return titles[name] ?? (keys.length > 1 ? `${name} (${keys.length})` : name)
}

/** An average over the 38 is one of all 38, and nothing else is called so. */
function partTitle(group: TaskGroup, rows: readonly TaskRow[]): string {
  if (group.name === "Average")
    return rows.length === 1 ? rows[0]!.name : `Mean of the ${rows.length} of 38 that all have`
  return `${titleOf(group).replace(/ \(\d+\)$/, "")} (${rows.length} of ${group.keys.length})`
}

function averageRow(name: string, rows: readonly TaskRow[], of: number): AverageRow {
  const worths = rows.flatMap(({ worth, name: task }) => (worth ? [{ ...worth, task }] : []))
  const most = worths.toSorted((a, b) => b.most - a.most)[0]
  const usual = worths.map((worth) => worth.usual).toSorted((a, b) => a - b)
  return {
    ...{ name, of, keys: rows.map(({ key }) => key) },
    cells: rows[0]!.cells.map((_, i) => meanCell(rows.map(({ cells }) => cells[i]!))),
    differences: rows[0]!.cells.map((_, i) =>
      i === 0 ? null : meanDifference(rows.map((row) => row.differences[i]!)),
    ),
    worth: most
      ? { usual: usual[Math.floor(usual.length / 2)]! / rows.length, most: most.most / rows.length, task: most.task }
      : null,
  }
}

function meanOf(values: readonly { readonly value: number }[]): number {
  return values.reduce((sum, { value }) => sum + value, 0) / values.length
}

/** Without an interval where one of the tasks has none. */
function meanCell(cells: readonly Cell[]): Cell {
  const value = meanOf(cells)
  if (!cells.every(hasInterval)) return { value, interval: null, method: null }
  const method = cells.every((cell) => cell.method === "bootstrap") ? "bootstrap" : "binomial"
  return { value, interval: meanInterval(cells), method }
}

function meanDifference(differences: readonly Difference[]): Difference {
  const value = meanOf(differences)
  if (!differences.every(hasInterval)) return { value, interval: null, method: null, isChance: null }
  const method = differences.every((each) => each.method === "paired") ? "paired" : "unpaired"
  return withVerdict(value, meanInterval(differences), method)
}

function hasInterval<T extends Cell | Difference>(each: T): each is T & Estimate {
  return each.interval !== null
}

/** The average over the 38 where there is one, else over what is there. */
function headlineOf(averages: readonly AverageRow[]): AverageRow | null {
  return averages.findLast(({ of, name }) => of === 38 && !/region of four/.test(name)) ?? averages.at(-1) ?? null
}

// ------------------------------------------------------------------------------------------------------- notes

function settingsNotes(models: readonly ComparedModel[]): string[] {
  const runs = models.filter(({ settings }) => settings !== null)
  const different = new Set(runs.map(({ settings }) => JSON.stringify(settings)))
  if (different.size < 2) return []
  return [
    `the runs were made with different settings (${shortList(runs.map(({ name }) => name))}): see their evaluation.json`,
  ]
}

/** The same note of many tasks is one. */
function folded(notes: readonly string[]): string[] {
  const byText = new Map<string, string[]>()
  for (const note of notes) {
    const [task, text] = [note.slice(0, note.indexOf(": ")), note.slice(note.indexOf(": ") + 2)]
    byText.set(text, [...(byText.get(text) ?? []), task])
  }
  return [...byText].map(([text, tasks]) => `${shortList(tasks)}: ${text}`)
}

function missingNotes(rows: readonly TaskRow[], models: readonly ComparedModel[]): string[] {
  return models.flatMap(({ name }, i) => {
    const missing = rows.filter(({ cells }) => cells[i] === null)
    if (missing.length === 0) return []
    const is = missing.length === 1 ? "is" : "are"
    return [`${name} has no result of ${shortList(missing.map((row) => row.name))}, which ${is} in no average`]
  })
}
