/** What fine-tuning was worth, in a sentence: by counts of held-out pictures, and by whether they could be chance. */
import { meanOverClasses, type Probe, type ProbeResult } from "./probe.ts"

export interface Verdict {
  /** `unclear`: more pictures are right than before, and so few more that it could be chance. */
  readonly kind: "better" | "unclear" | "same" | "worse"
  readonly pictures: number
  readonly rightBefore: number
  readonly rightAfter: number
  readonly becameRight: number
  readonly becameWrong: number
  /** How many are right by guessing, on average. */
  readonly rightByGuessing: number
  /** Whether more are right than guessing gets, beyond chance. */
  readonly isAboveGuessing: boolean
}

/** What happens in fewer than one of twenty cases does not count as chance. */
const significance = 0.05

/** By the classes, or where there are none by the captions: each picture's first answer is right or wrong. */
export function verdictOf(probe: Pick<Probe, "chance">, before: ProbeResult, after: ProbeResult): Verdict {
  const pairs = before.predictions.map((prediction, i) => [prediction.isRight, after.predictions[i]!.isRight] as const)
  const count = (is: (before: boolean, after: boolean) => boolean) => pairs.filter((pair) => is(...pair)).length
  const [becameRight, becameWrong] = [count((was, is) => !was && is), count((was, is) => was && !is)]
  const rightAfter = count((_, is) => is)
  const guess = Object.values(probe.chance)[0] ?? 0
  return {
    ...{ kind: kindOf(becameRight, becameWrong), pictures: pairs.length },
    ...{ rightBefore: count((was) => was), rightAfter, becameRight, becameWrong },
    rightByGuessing: guess * pairs.length,
    isAboveGuessing: atLeast(rightAfter, pairs.length, guess) < significance,
  }
}

/** The sign test: of the pictures that changed sides, each would become right or wrong with a probability of one half. */
function kindOf(becameRight: number, becameWrong: number): Verdict["kind"] {
  if (becameRight === becameWrong) return "same"
  const changed = becameRight + becameWrong
  if (becameRight > becameWrong) return atLeast(becameRight, changed, 0.5) < significance ? "better" : "unclear"
  return atLeast(becameWrong, changed, 0.5) < significance ? "worse" : "same"
}

/** The probability of `least` or more successes of `tries`. */
export function atLeast(least: number, tries: number, probability: number): number {
  if (least <= 0) return 1
  if (probability <= 0) return 0
  let sum = 0
  let logChoose = 0
  for (let hits = 0; hits <= tries; hits++) {
    if (hits > 0) logChoose += Math.log((tries - hits + 1) / hits)
    const misses = tries - hits
    const log = logChoose + hits * Math.log(probability) + (misses > 0 ? misses * Math.log1p(-probability) : 0)
    if (hits >= least) sum += Math.exp(log)
  }
  return Math.min(1, sum)
}

/** "Better than before: 10 of 12 held-out pictures are right, 4 were before" */
export function verdictText({ kind, pictures, rightBefore, rightAfter }: Verdict, what = "held-out pictures"): string {
  const are = rightAfter === 1 ? "is" : "are"
  const was =
    rightBefore === rightAfter ? "as many as before" : `${rightBefore} ${rightBefore === 1 ? "was" : "were"} before`
  return `${openings[kind]}: ${rightAfter} of ${pictures} ${what} ${are} right, ${was}`
}

const openings = {
  better: "Better than before",
  unclear: "Too few pictures to tell",
  same: "No better than before",
  worse: "Worse than before",
} as const satisfies Record<Verdict["kind"], string>

/** "Guessing gets about 2 of 12." */
export function guessingText({ rightByGuessing, isAboveGuessing, pictures }: Verdict): string {
  const guess = rightByGuessing < 1 ? rightByGuessing.toFixed(1) : Math.round(rightByGuessing)
  const text = `guessing gets about ${guess} of ${pictures} right`
  return isAboveGuessing ? text : `${text}, so this is not more than guessing`
}

/** Where more pictures are right than before, and fewer in the mean over the classes; null elsewhere, and without classes. */
export function classesText(before: ProbeResult, after: ProbeResult): string | null {
  const right = ({ predictions }: ProbeResult) => predictions.filter(({ isRight }) => isRight).length
  const [was, is] = [before.figures[meanOverClasses], after.figures[meanOverClasses]]
  if (was === undefined || is === undefined || is >= was || right(after) <= right(before)) return null
  const percent = (share: number) => (100 * share).toFixed(1)
  return `the mean over the classes fell from ${percent(was)} to ${percent(is)} %: classes of many pictures gained, others lost`
}

/**
 * What the figures may not be taken for.
 * @param isAverageChosen whether the share of the tuned weights was chosen by the same pictures
 */
export function choiceText(isAverageChosen: boolean): string {
  const chosen = isAverageChosen ? "the step and the share of the tuned weights" : "the step"
  return `the held-out pictures also chose ${chosen}, so that new pictures may score a little lower`
}

/** What may help where nothing was gained. */
export function adviceOf({ kind, isAboveGuessing }: Verdict, learningRate: number): string | null {
  if (kind === "better" || (kind === "unclear" && isAboveGuessing)) return null
  const rate = (3 * learningRate).toExponential(0)
  return `more pictures of each class help most; else try a larger rate (--lr ${rate}), or more passes (--epochs 30)`
}
