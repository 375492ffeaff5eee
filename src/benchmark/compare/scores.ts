/**
 * Main metrics as functions of how often each picture counts, so that the same code gives the score of all pictures, and of a
 * bootstrap's drawn ones.
 */
import type { Answers } from "./answers.ts"

/** How often each picture counts; 1 for each is the score itself. */
type Weights = ArrayLike<number>

/** The metric, 0 to 1, of pictures with these weights. */
type Score = (weights: Weights) => number

export interface Scored {
  /** How many pictures there are to draw. */
  readonly pictures: number
  /** What the score depends on in a picture: those with the same text are alike. */
  kindOf(picture: number): string
  /** The score of some pictures, whose weights are given in their order. */
  scoreOf(pictures: Int32Array): Score
}

/** The metric itself: of all pictures, each once. */
export function plainScore({ pictures, scoreOf }: Scored): number {
  return scoreOf(Int32Array.from({ length: pictures }, (_, i) => i))(new Uint8Array(pictures).fill(1))
}

/** Groups with fewer pictures are too small for a bootstrap: one that is all wrong is so in every draw. */
export const smallestGroup = 30

/**
 * @param leftOut a group that does not count for the worst one
 * @returns null where answers do not give the metric: it needs groups that were not kept, or is none of those known here
 */
export function scoredAnswers(metric: string, answers: Answers, leftOut?: number): Scored | null {
  if (metric === "mean_recall@1") return meanRecall(answers)
  const { labels, right, predicted, groups } = answers
  if (/^(acc|acc[15]|acc_avg)$/.test(metric)) return scoredBy([right], shareOf)
  if (metric === "mean_per_class_recall") return scoredBy([labels, right], meanOfGroups)
  if (metric === "F1-macro_all") return predicted && scoredBy([labels, predicted], macroF1)
  if (metric === "jaccard_score_10-12") return predicted && scoredBy([labels, predicted], meanJaccard)
  if (!/_(wg|worst_\w+)$/.test(metric)) return null
  return groups && scoredBy([groups, right], (groups, right) => worstOfGroups(groups, right, leftOut))
}

/** Pictures are alike where the columns that the score is made of are: the fewer kinds, the sooner they are drawn. */
function scoredBy(columns: readonly (Int32Array | Uint8Array)[], scoreOf: (...columns: Int32Array[]) => Score): Scored {
  return {
    pictures: columns[0]!.length,
    kindOf: (i) => columns.map((column) => column[i]).join(" "),
    scoreOf: (pictures) => scoreOf(...columns.map((column) => Int32Array.from(pictures, (i) => column[i]!))),
  }
}

function shareOf(right: Int32Array): Score {
  return (weights) => {
    let [sum, all] = [0, 0]
    for (let i = 0; i < right.length; i++) {
      const weight = weights[i]!
      all += weight
      sum += weight * right[i]!
    }
    return sum / all
  }
}

/** The share of right answers in each group. NaN where a group has no weight. */
function sharesOfGroups(groups: Int32Array, right: Int32Array): (weights: Weights) => Float64Array {
  const count = 1 + groups.reduce((most, group) => Math.max(most, group), -1)
  return (weights) => {
    const [sums, all] = [new Float64Array(count), new Float64Array(count)]
    for (let i = 0; i < groups.length; i++) {
      const [group, weight] = [groups[i]!, weights[i]!]
      all[group]! += weight
      sums[group]! += weight * right[i]!
    }
    return sums.map((sum, group) => sum / all[group]!)
  }
}

/** Classes that were not drawn do not count, as those that no picture shows do not. */
function meanOfGroups(groups: Int32Array, right: Int32Array): Score {
  const sharesOf = sharesOfGroups(groups, right)
  return (weights) => meanOf(sharesOf(weights).filter((share) => !Number.isNaN(share)))
}

function worstOfGroups(groups: Int32Array, right: Int32Array, leftOut = -1): Score {
  const sharesOf = sharesOfGroups(groups, right)
  return (weights) =>
    sharesOf(weights).reduce(
      (worst, share, group) => (share < worst && group !== leftOut ? share : worst),
      Number.POSITIVE_INFINITY,
    )
}

/** Over the classes that pictures show, as the suite has it; one that is never predicted has 0. */
function macroF1(labels: Int32Array, predicted: Int32Array): Score {
  const count = 1 + Math.max(largest(labels), largest(predicted))
  return (weights) => {
    const [shown, said, both] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)]
    for (let i = 0; i < labels.length; i++) {
      const [label, answer, weight] = [labels[i]!, predicted[i]!, weights[i]!]
      shown[label]! += weight
      said[answer]! += weight
      if (label === answer) both[label]! += weight
    }
    const scores = both.map((hits, label) => (2 * hits) / (shown[label]! + said[label]!))
    return meanOf(scores.filter((_, label) => shown[label]! > 0))
  }
}

/** Pictures come first, then captions, whose labels are their pictures: a caption is drawn with its picture. */
function meanRecall({ labels, right }: Answers): Scored | null {
  const pictures = largest(labels) + 1
  if (labels.length <= pictures || labels.subarray(0, pictures).some((label, i) => label !== i)) return null
  const [captions, found] = [new Uint16Array(pictures), new Uint16Array(pictures)]
  for (let i = pictures; i < labels.length; i++) {
    captions[labels[i]!]! += 1
    found[labels[i]!]! += right[i]!
  }
  const scoreOf = (some: Int32Array): Score => {
    return (weights) => {
      let [toText, toImage, texts, drawn] = [0, 0, 0, 0]
      for (const [i, picture] of some.entries()) {
        drawn += weights[i]!
        toText += weights[i]! * right[picture]!
        texts += weights[i]! * captions[picture]!
        toImage += weights[i]! * found[picture]!
      }
      return (toText / drawn + toImage / texts) / 2
    }
  }
  return { pictures, kindOf: (i) => `${right[i]} ${captions[i]} ${found[i]}`, scoreOf }
}

/** Over instances with ten candidates or more; their indices are in millionths. */
function meanJaccard(candidates: Int32Array, millionths: Int32Array): Score {
  return (weights) => {
    let [sum, all] = [0, 0]
    for (let i = 0; i < candidates.length; i++) {
      if (candidates[i]! < 10) continue
      all += weights[i]!
      sum += (weights[i]! * millionths[i]!) / 1e6
    }
    return sum / all
  }
}

function largest(values: Int32Array): number {
  return values.reduce((most, value) => Math.max(most, value), -1)
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
