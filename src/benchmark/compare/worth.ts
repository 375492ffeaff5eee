/** What one answer more can move a score by: exact where answers were kept, else from the metrics alone. */
import type { TaskResult } from "../run/task-result.ts"
import type { Answers } from "./answers.ts"
import { type Group, groupsOf, isWorstGroup, type TaskFacts } from "./estimate.ts"

/** In 0..1 of the main metric. */
export interface Worth {
  /** What a usual answer is worth. */
  readonly usual: number
  /** What the one that counts most is worth; larger than `usual` where groups or classes have different numbers of pictures. */
  readonly most: number
  /** Why, or for which answer. */
  readonly note: string
}

/** What one answer can move the main metric by. */
export function worthOf(facts: TaskFacts, metrics: TaskResult["metrics"], kept: Answers | null): Worth | null {
  const { metric, answers, images, classes } = facts
  const exact = kept && worthInClasses(metric, kept)
  if (exact) return exact
  if (answers === 0) return null
  const same = (share: number, note: string) => ({ usual: share, most: share, note })
  if (metric === "mean_recall@1" && answers > images) {
    const [picture, caption] = [1 / (2 * images), 1 / (2 * (answers - images))]
    return {
      usual: Math.min(picture, caption),
      most: Math.max(picture, caption),
      note: picture === caption ? "" : "a caption; a picture",
    }
  }
  if (isWorstGroup(metric)) return worthInGroups(groupsOf(metric, metrics)) ?? same(1 / answers, "in the worst group")
  if (metric === "mean_per_class_recall") {
    return {
      usual: 1 / answers,
      most: 1 / answers,
      note: "on average over the classes; more in a class of few pictures",
    }
  }
  if (metric === "F1-macro_all")
    return classes === null ? null : same(1 / classes, "at most: in a class of one picture")
  if (metric === "jaccard_score_10-12") return same(1 / answers, `one of the ${answers} with 10 or 12 candidates`)
  return same(1 / answers, "")
}

/** In the group that is the worst, and in the smallest one, which may be it. */
function worthInGroups(groups: readonly Group[]): Worth | null {
  if (groups.length === 0) return null
  const worst = groups.reduce((a, b) => (b.share < a.share ? b : a))
  const smallest = groups.reduce((a, b) => (b.answers < a.answers ? b : a))
  const note =
    smallest.answers < worst.answers
      ? `in the worst group (${worst.name}); in the smallest (${smallest.name}, ${smallest.answers} pictures)`
      : `in the worst group (${worst.name}, ${worst.answers} pictures)`
  return { usual: 1 / worst.answers, most: 1 / smallest.answers, note }
}

// ----------------------------------------------------------------------------------------------------- classes

/** Pictures of a class, how many were taken for it, and how many of both. */
interface ClassCount {
  shown: number
  said: number
  right: number
}

/** For metrics over classes; null for others. */
function worthInClasses(metric: string, { labels, right, predicted }: Answers): Worth | null {
  if (metric === "mean_per_class_recall") {
    const sizes = [...countClasses(labels, right, null).values()].map(({ shown }) => shown)
    const smallest = Math.min(...sizes)
    const note = `on average over the classes; in the smallest, of ${smallest} ${smallest === 1 ? "picture" : "pictures"}`
    return { usual: 1 / labels.length, most: 1 / (sizes.length * smallest), note }
  }
  if (metric !== "F1-macro_all" || !predicted) return null
  const counts = countClasses(labels, right, predicted)
  const shown = [...counts.values()].filter((count) => count.shown > 0).length
  const gains = Array.from(labels, (label, i) =>
    label === predicted[i] ? 0 : correctedF1(counts.get(label)!, counts.get(predicted[i]!)!) / shown,
  ).filter((gain) => gain > 0)
  if (gains.length === 0) return null
  const sorted = gains.toSorted((a, b) => a - b)
  const note = "a wrong answer that becomes right; more in a class of few pictures"
  return { usual: sorted[Math.floor(sorted.length / 2)]!, most: sorted.at(-1)!, note }
}

/** What both classes' F1 gain together where a picture is no longer taken for another class. */
function correctedF1(own: ClassCount, other: ClassCount): number {
  const f1 = ({ shown, said, right }: ClassCount) => (shown === 0 ? 0 : (2 * right) / (shown + said))
  const gained = f1({ ...own, said: own.said + 1, right: own.right + 1 }) - f1(own)
  return gained + f1({ ...other, said: other.said - 1 }) - f1(other)
}

function countClasses(labels: Int32Array, right: Uint8Array, predicted: Int32Array | null): Map<number, ClassCount> {
  const counts = new Map<number, ClassCount>()
  const of = (name: number) => {
    const count = counts.get(name) ?? { shown: 0, said: 0, right: 0 }
    counts.set(name, count)
    return count
  }
  for (let i = 0; i < labels.length; i++) {
    const own = of(labels[i]!)
    own.shown += 1
    own.right += right[i]!
    if (predicted) of(predicted[i]!).said += 1
  }
  return counts
}
