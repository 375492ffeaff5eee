/** A comparison in the words of the terminal and the page. Scores and differences are in points: hundredths of a metric. */
import type { AverageRow, Comparison } from "./compare.ts"
import { binomialCaveat } from "./estimate.ts"
import type { Interval } from "./intervals.ts"
import { type Cell, type Difference, points } from "./task-rows.ts"

/** "MobileCLIP2-S0 is 1.58 points below MobileCLIP-S1 in the average of 38 tasks (95 % interval -2.27 to -0.90)." */
export function verdictText({ models, headline }: Comparison): string {
  const [first, ...others] = models
  if (!headline && models.length > 2)
    return "No task was answered by all of these models, so there is no average of all"
  if (!headline) return "The models have no task in common, so nothing can be compared"
  const over = overText(headline)
  const own = `${first!.name} scores ${points(headline.cells[0]!.value)} ${over}`
  if (others.length === 0) return own
  if (others.length > 1)
    return bestText(
      models.map(({ name }) => name),
      headline,
      over,
    )
  return differenceText(first!.name, others[0]!.name, headline.differences[1]!, over)
}

function differenceText(first: string, other: string, difference: Difference, over: string): string {
  const { value, interval, isChance } = difference
  const size = points(Math.abs(value))
  if (value === 0) return `${other} and ${first} score the same ${over}`
  const side = value > 0 ? "above" : "below"
  if (isChance === true) return `${other} is ${size} points ${side} ${first} ${over}: within chance`
  return `${other} is ${size} points ${side} ${first} ${over}${interval ? ", more than chance" : ""}`
}

function bestText(names: readonly string[], { cells, differences }: AverageRow, over: string): string {
  const best = cells.reduce((top, cell, i) => (cell.value > cells[top]!.value ? i : top), 0)
  const score = points(cells[best]!.value)
  const opening = `${names[best]} scores highest, ${score} ${over}`
  const difference = differences[best]
  if (!difference) return `${opening}, and is what the others are compared with`
  const chance = difference.isChance === true ? ", which is within chance" : ""
  return `${opening}, ${points(difference.value)} points above ${names[0]}${chance}`
}

/** "on average over 38 tasks" */
export function overText({ keys, name }: AverageRow): string {
  return keys.length === 1 ? `in ${name}` : `on average over ${keys.length} tasks`
}

/** "59.67" or "-" */
export function scoreText(cell: Cell | null | undefined): string {
  return cell ? points(cell.value) : "-"
}

/** "+1.58" */
export function signedPoints(value: number, digits = 2): string {
  const text = points(value, digits)
  return value >= 0 && !text.startsWith("-") ? `+${text}` : text
}

/** "1.21 to 1.95" */
export function intervalText(interval: Interval | null): string {
  return interval === null ? "not known" : `${points(interval.low)} to ${points(interval.high)}`
}

/** "+1.58 (1.21 to 1.95)"; with a tilde where it is within chance. */
export function differenceCell(difference: Difference | null | undefined): string {
  if (!difference) return ""
  const { value, interval, isChance } = difference
  return `${isChance === true ? "~" : ""}${signedPoints(value)}${interval ? ` (${signedPoints(interval.low)} to ${signedPoints(interval.high)})` : ""}`
}

/** A worth in points: up to four digits that count. */
export function worthText(worth: number): string {
  const value = 100 * worth
  return value >= 1 ? value.toFixed(value >= 10 ? 0 : 1) : value.toPrecision(2)
}

/** "0.0020", or from the usual answer's to that of the one that counts most: "0.039 to 25". */
export function worthRange(worth: { readonly usual: number; readonly most: number } | null): string {
  if (!worth) return "-"
  const [usual, most] = [worthText(worth.usual), worthText(worth.most)]
  return usual === most ? usual : `${usual} to ${most}`
}

/** How the intervals were made, as sentences. */
export function methodTexts({ tasks, resamples }: Comparison): string[] {
  const methods = new Set(tasks.flatMap(({ cells }) => cells.flatMap((cell) => cell?.method ?? [])))
  const differences = new Set(tasks.flatMap((row) => row.differences.flatMap((each) => each?.method ?? [])))
  const caveats = caveatsOf(tasks)
  return [
    "Intervals are of 95 %; those of fewer than 100 pictures, or over classes of a few pictures, may be too narrow.",
    ...(methods.has("bootstrap")
      ? [
          `Where a run kept its answers, pictures are drawn ${resamples.toLocaleString("en")} times with replacement, with a fixed seed. The interval of a worst group is about which score the worst of such groups has, and not about how bad each of them is.`,
        ]
      : []),
    ...(differences.has("paired")
      ? [
          "Models that answered the same pictures are drawn together, so a difference's interval leaves out what is easy or hard for both. Where fewer than six were answered differently, that is too few to draw from, and the difference is compared as that of other pictures.",
        ]
      : []),
    ...(methods.has("binomial")
      ? ["Where answers were not kept, the interval is the binomial's (Wilson), from the number of answers."]
      : []),
    ...(differences.has("unpaired")
      ? [
          "A difference without paired answers is treated as if the models had been asked different pictures, which makes its interval wider than it need be.",
        ]
      : []),
    ...caveats,
    ...(tasks.length >= 10
      ? [
          "Where models differ in nothing, about one task in twenty still shows a difference that its interval calls more than chance.",
        ]
      : []),
    "An average's interval adds the squares of its tasks' distances. It is about other pictures of the same kind, and says nothing of other tasks, nor of another training run.",
  ]
}

/** What is only nearly so, and in which tasks. */
function caveatsOf(tasks: Comparison["tasks"]): string[] {
  const byCaveat = new Map<string, string[]>()
  for (const { metric, name, cells } of tasks) {
    const caveat = binomialCaveat(metric)
    if (caveat === null || cells.every((cell) => cell?.method !== "binomial")) continue
    byCaveat.set(caveat, [...(byCaveat.get(caveat) ?? []), name])
  }
  return [...byCaveat].map(([caveat, names]) => `Approximate in ${names.join(", ")}: ${caveat}.`)
}
