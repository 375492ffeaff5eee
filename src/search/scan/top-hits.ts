/** The best rows so far, in a heap whose root is the worst of them. */
import type { Hits } from "./scan-request.ts"

export interface Place {
  readonly score: number
  readonly position: number
}

/** The order of hits: by score, and equal scores by position. */
function isBetter(score: number, position: number, than: Place): boolean {
  return score > than.score || (score === than.score && position < than.position)
}

/** The same for sorting: negative where `a` comes first. */
export function byRank(a: Place, b: Place): number {
  return b.score - a.score || a.position - b.position
}

export class TopHits {
  private readonly heap: Place[] = []

  /** @param after only rows that come after this one are kept */
  constructor(
    private readonly most: number,
    private readonly after?: Place,
  ) {}

  /** A row without a vector, whose score is NaN, is not a hit. */
  offer(score: number, position: number): void {
    const { heap, most, after } = this
    if (Number.isNaN(score) || (after && (isBetter(score, position, after) || isSame(score, position, after)))) return
    if (heap.length < most) this.rise({ score, position })
    else if (most > 0 && isBetter(score, position, heap[0]!)) this.sink({ score, position })
  }

  /** Best first. */
  hits(): Hits {
    return hitsOf(this.heap.toSorted(byRank))
  }

  private rise(place: Place): void {
    const { heap } = this
    let at = heap.push(place) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]!
      if (!isBetter(above.score, above.position, place)) break
      heap[at] = above
      at = parent
    }
    heap[at] = place
  }

  /** In place of the root. */
  private sink(place: Place): void {
    const { heap } = this
    let at = 0
    for (;;) {
      const child = this.worseChild(at)
      const below = heap[child]
      if (!below || !isBetter(place.score, place.position, below)) break
      heap[at] = below
      at = child
    }
    heap[at] = place
  }

  private worseChild(at: number): number {
    const [left, right] = [this.heap[2 * at + 1], this.heap[2 * at + 2]]
    return left && right && isBetter(left.score, left.position, right) ? 2 * at + 2 : 2 * at + 1
  }
}

/** Places in their order as hits. */
export function hitsOf(places: readonly Place[]): Hits {
  return {
    positions: Uint32Array.from(places, ({ position }) => position),
    scores: Float32Array.from(places, ({ score }) => score),
  }
}

function isSame(score: number, position: number, place: Place): boolean {
  return score === place.score && position === place.position
}

/** The best of all parts. */
export function mergeHits(parts: readonly Hits[], most: number): Hits {
  const top = new TopHits(most)
  for (const { positions, scores } of parts) {
    positions.forEach((position, i) => {
      top.offer(scores[i]!, position)
    })
  }
  return top.hits()
}
