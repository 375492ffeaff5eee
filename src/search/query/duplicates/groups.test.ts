import { expect, test } from "vitest"
import { Random } from "../../../core/arrays/random.ts"
import type { Pairs } from "../../scan/scanner.ts"
import type { FoundContent } from "../rows/look-up.ts"
import { groupsOf } from "./groups.ts"

/** The higher the row, the better. */
function contentsOf(count: number): Map<number, FoundContent> {
  const content = (position: number): FoundContent => ({
    ...{ paths: [`/${position}.jpg`], width: position + 1, height: 1, bytes: 1, sharpness: null, hash: "", position },
    ...{ taken: null, camera: null, caption: null, latitude: null, longitude: null },
  })
  return new Map(Array.from({ length: count }, (_, n) => [n, content(n)]))
}

function pairsOf(all: readonly (readonly [number, number, number])[]): Pairs {
  return {
    a: Uint32Array.from(all, ([a]) => a),
    b: Uint32Array.from(all, ([, b]) => b),
    scores: Float32Array.from(all, ([, , score]) => score),
  }
}

test("groups of random pairs are those of a plain search, the best first, each picture once", async () => {
  const [random, count] = [Random.of(3, 1), 60]
  const near = new Map<string, number>()
  for (let i = 0; i < 50; i++) {
    const [x, y] = [random.int(count), random.int(count)]
    if (x !== y) near.set(`${Math.min(x, y)} ${Math.max(x, y)}`, Math.fround(0.9 + i / 1000))
  }
  const all = [...near].map(([key, score]) => [...key.split(" ").map(Number), score] as [number, number, number])
  all.sort(([a, b], [c, d]) => a - c || b - d)
  const left = new Set(Array.from({ length: count }, (_, i) => count - 1 - i))
  const expected = [...left].flatMap((best) => {
    if (!left.delete(best)) return []
    const others = all.flatMap(([a, b, score]) => (a === best ? [[b, score]] : b === best ? [[a, score]] : []))
    const own = others.filter(([row]) => left.delete(row!)).sort(([, x], [, y]) => y! - x!)
    return own.length > 0 ? [[best, ...own]] : []
  })
  const groups = await groupsOf(contentsOf(count), pairsOf(all))
  const found = groups.map(({ best, others }) => [best.position, ...others.map((o) => [o.position, o.cosine])])
  expect(found.sort(([a], [b]) => (b as number) - (a as number))).toEqual(expected)
  expect(expected.length).toBeGreaterThan(10)
})

test("millions of pairs are given up soon after a signal", async () => {
  const count = 3000
  const [a, b] = [new Uint32Array((count * (count - 1)) / 2), new Uint32Array((count * (count - 1)) / 2)]
  for (let x = 0, at = 0; x < count; x++) for (let y = x + 1; y < count; y++) [a[at], b[at++]] = [x, y]
  const pairs = { a, b, scores: new Float32Array(a.length).fill(0.97) }
  const [group] = await groupsOf(contentsOf(count), pairs)
  expect([group!.best.position, group!.others.length]).toEqual([count - 1, count - 1])
  const stop = new AbortController()
  const asked = groupsOf(contentsOf(count), pairs, stop.signal)
  setTimeout(() => stop.abort(new Error("stopped")), 5)
  await expect(asked).rejects.toThrow("stopped")
})
