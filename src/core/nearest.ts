/** Which of some names a mistyped one was probably meant to be. */

/** The `count` names with the fewest edits from `name`, nearest first; ties stay in the order given. Case counts. */
export function nearestNames<Name extends string>(name: string, names: readonly Name[], count = 3): Name[] {
  const distances = new Map(names.map((candidate) => [candidate, editDistance(name, candidate)]))
  return names.toSorted((a, b) => distances.get(a)! - distances.get(b)!).slice(0, count)
}

/** Levenshtein's distance: the fewest insertions, deletions and replacements of a character that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  // One row of the table at a time: row[j] is the distance from the part of `a` read so far to the first j of `b`.
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
