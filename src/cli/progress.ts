/** Progress of long work on stderr: a bar with rate and time left on a terminal, else a line every few seconds. */
import { printable } from "../core/printable.ts"
import { noProgress, type Progress, type StartProgress } from "../core/progress.ts"
import { durationText, rateText } from "../report/numbers.ts"

export const PROGRESS_MODES = ["auto", "bar", "plain", "json", "none"] as const

export type ProgressMode = (typeof PROGRESS_MODES)[number]

interface ProgressOutput {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** @param now seconds on a clock that never goes back */
export function progressReporter(
  mode: ProgressMode,
  stream: ProgressOutput = process.stderr,
  now: () => number = () => performance.now() / 1000,
): StartProgress {
  const style = mode === "auto" ? (stream.isTTY && process.env.TERM !== "dumb" ? "bar" : "plain") : mode
  if (style === "none") return noProgress
  return (label, total, { unit, from = 0, seconds = 0 }) =>
    new Meter({ label, total, unit }, from, style, stream, now, seconds)
}

type Style = Exclude<ProgressMode, "auto" | "none">

/** The least seconds between two outputs. */
const intervals = { bar: 0.1, plain: 10, json: 1 } as const satisfies Record<Style, number>

const clearLine = "\r\x1b[K"

class Meter implements Progress {
  private readonly started: number
  private shownAt: number
  /** The rate counts from the first update: what was done before was resumed, or slow because of the start. */
  private first: { readonly done: number; readonly at: number } | null = null
  private last: number

  constructor(
    private readonly work: Pick<ProgressState, "label" | "total" | "unit">,
    private readonly from: number,
    private readonly style: Style,
    private readonly stream: ProgressOutput,
    private readonly now: () => number,
    seconds: number,
  ) {
    this.last = from
    this.shownAt = now()
    this.started = this.shownAt - seconds
  }

  update(done: number, detail?: string): void {
    this.last = done
    this.first ??= { done, at: this.now() }
    if (this.now() - this.shownAt < intervals[this.style]) return
    this.shownAt = this.now()
    const state = this.state(detail)
    if (this.style === "bar") this.stream.write(clearLine + barText(state, this.stream.columns ?? 80))
    else this.stream.write(`${this.style === "json" ? jsonText(state) : plainText(state)}\n`)
  }

  done(detail?: string): void {
    const state = this.state(detail)
    const text = this.style === "json" ? jsonText(state) : doneText(state, this.from, this.now() - this.started)
    this.stream.write(`${this.style === "bar" ? clearLine : ""}${text}\n`)
  }

  private state(detail?: string): ProgressState {
    const { first, last } = this
    const elapsed = first ? this.now() - first.at : 0
    const rate = first && elapsed > 0 ? (last - first.done) / elapsed : 0
    const { total, unit } = this.work
    const label = printable(this.work.label)
    return { label, total, unit, done: last, rate, ...(detail === undefined ? {} : { detail: printable(detail) }) }
  }
}

interface ProgressState {
  readonly label: string
  readonly done: number
  readonly total: number
  readonly unit: string
  /** Units a second; 0 when not known yet. */
  readonly rate: number
  readonly detail?: string
}

/** One line of at most `columns` - 1 characters. */
export function barText(state: ProgressState, columns: number): string {
  const { label, done, total, unit, detail } = state
  const share = shareOf(state)
  const parts = [`${total > 0 ? `${done}/${total}` : done} ${unit}`, ...rateTexts(state), ...(detail ? [detail] : [])]
  const [before, after] = [label.padEnd(10), `${wholePercent(share).padStart(4)}  ${parts.join("  ")}`]
  const width = barWidth(columns - 1 - before.length - after.length - 2)
  const filled = Math.round(share * width)
  const bar = "█".repeat(filled) + "░".repeat(width - filled)
  return `${before} ${bar} ${after}`.slice(0, columns - 1)
}

/** On a narrow terminal the bar is shortened before the text is. */
function barWidth(room: number): number {
  return Math.min(24, Math.max(6, room))
}

export function plainText(state: ProgressState): string {
  const { label, done, total, unit, detail } = state
  const parts = [
    total > 0 ? `${done}/${total} ${unit} (${wholePercent(shareOf(state))})` : `${done} ${unit}`,
    ...rateTexts(state),
    ...(detail ? [detail] : []),
  ]
  return `${label}: ${parts.join(", ")}`
}

function jsonText(state: ProgressState): string {
  return JSON.stringify({ ...state, secondsLeft: secondsLeft(state) })
}

function doneText({ label, done, unit, detail }: ProgressState, from: number, seconds: number): string {
  const rate = seconds > 0 && done !== from ? ` (${rateText((done - from) / seconds)})` : ""
  const counted = done === 1 ? unit.replace(/(?<=s)es$|s$/, "") : unit
  const now = from > 0 ? `, ${done - from} of them` : ""
  return `${label}: ${done} ${counted}${now} in ${durationText(seconds)}${rate}${detail ? `, ${detail}` : ""}`
}

function rateTexts(state: ProgressState): string[] {
  if (state.rate <= 0) return []
  const left = secondsLeft(state)
  return [rateText(state.rate), ...(left === null ? [] : [`${durationText(left)} left`])]
}

function secondsLeft({ done, total, rate }: ProgressState): number | null {
  return rate > 0 && total > 0 ? Math.max(0, total - done) / rate : null
}

function shareOf({ done, total }: ProgressState): number {
  return total > 0 ? Math.min(1, done / total) : 0
}

function wholePercent(share: number): string {
  return `${Math.floor(share * 100)}%`
}
