import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { scanAddonOrNull } from "../../../scan/index.ts"
import { exactRows, headerBytes, products, unitRows, writeVectors } from "../../../test/vector-file.ts"
import { Random } from "../../core/arrays/random.ts"
import { AddonScanner } from "./addon-scanner.ts"
import { openScanner } from "./scanner.ts"
import { WasmScanner } from "./wasm-scanner.ts"

const folder = mkdtempSync(join(tmpdir(), "near-pairs-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Blocks of 192, 256 and 512 rows that are full and that are not, and dimensions beside those of a vector. */
const cases = (
  [
    [40, 800],
    [512, 192],
    [3, 200],
    [17, 1],
  ] as const
).map(([dim, count]) => {
  const random = Random.of(9, dim)
  const values = exactRows(random, count, dim)
  for (let row = 5; row < count; row += 50) values.fill(Number.NaN, row * dim, (row + 1) * dim)
  const path = join(folder, `${dim}.f16`)
  const rows = writeVectors(path, values)
  const scores = Array.from({ length: count }, (_, a) => products(rows, rows.subarray(a * dim, (a + 1) * dim)))
  const all = scores.flatMap((row, a) => [...row].flatMap((score, b) => (b > a ? [[a, b, score] as const] : [])))
  const sorted = all
    .map(([, , score]) => score)
    .filter((score) => !Number.isNaN(score))
    .sort((x, y) => y - x)
  const mask = Uint8Array.from({ length: Math.ceil(count / 8) }, () => random.int(256))
  return { path, dim, count, all, mask, threshold: sorted[Math.floor(sorted.length / 100)] ?? 0.5 }
})

test.each([...scanAddonOrNull!.kernels(), "wasm"])(
  "%s: all pairs, by their places, with a scan's scores",
  async (kind) => {
    for (const { path, dim, count, all, mask, threshold } of cases) {
      const layout = { dim, offset: headerBytes }
      const scanner =
        kind === "wasm" ? new WasmScanner(path, layout) : new AddonScanner(scanAddonOrNull!, path, layout, {}, kind)
      for (const given of [{}, { mask, threads: 1 }, { threads: 3 }]) {
        const { a, b, scores } = await scanner.nearPairs({ count, threshold, ...given })
        const isIn = (row: number) => !("mask" in given) || ((mask[row >> 3]! >> (row & 7)) & 1) === 1
        const expected = all.filter(([a, b, score]) => score >= threshold && isIn(a) && isIn(b))
        expect([...a].map((row, i) => [row, b[i], scores[i]])).toEqual(expected)
        if (count > 200) expect(expected.length).toBeGreaterThan(100)
      }
      scanner.close()
    }
  },
)

test.each([...scanAddonOrNull!.kernels(), "wasm"])(
  "%s: a pair that rounding alone would let pass is left out",
  async (kind) => {
    // Products of the first row with the others: 1/2, and 2^-14 less, which is nearer to it than tiles are trusted.
    const values = Float32Array.of(1, 2 ** -14, 0.5, 0, 0.5, -1)
    const path = join(folder, "edge.f16")
    writeVectors(path, values)
    const layout = { dim: 2, offset: headerBytes }
    const scanner =
      kind === "wasm" ? new WasmScanner(path, layout) : new AddonScanner(scanAddonOrNull!, path, layout, {}, kind)
    const { a, b, scores } = await scanner.nearPairs({ count: 3, threshold: 0.5 })
    expect([[...a], [...b], [...scores]]).toEqual([[0], [1], [0.5]])
    scanner.close()
  },
)

test.each(["addon", "wasm"] as const)("%s: progress is told, and a signal ends it", async (kind) => {
  const [dim, count] = [256, kind === "addon" ? 20_000 : 5000]
  const path = join(folder, `large-${kind}.f16`)
  writeVectors(path, unitRows(new Random(1), count, dim))
  const scanner = openScanner(path, { dim, offset: headerBytes, kind })
  const told: [number, number][] = []
  const { a } = await scanner.nearPairs({ count, threshold: 0.9, onProgress: (...at) => told.push(at) })
  expect(a).toHaveLength(0)
  const [done, total] = told.at(-1)!
  expect(done).toBe(total)
  expect(told.every(([done], i) => i === 0 || done >= told[i - 1]![0])).toBe(true)
  const controller = new AbortController()
  const ended = scanner.nearPairs({ count, threshold: 0.9, signal: controller.signal })
  // At once: a machine with many processors may need no longer than a timer.
  controller.abort()
  await expect(ended).rejects.toThrow(expect.objectContaining({ name: "AbortError" }))
  scanner.close()
})
