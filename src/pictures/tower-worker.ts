/** A thread of `tower-threads.ts`. */
import { type ErrorMessage, toMessage } from "../core/error-message.ts"
import { asUserError } from "../core/errors.ts"
import { serveThread } from "../host/thread-pool.ts"
import { openTower } from "../run/node.ts"
import { requireWidth } from "../run/tower.ts"
import { PixelRows, sharpnessOfRows } from "./pixel-rows.ts"
import { preparePixels } from "./prepare-pixels.ts"
import type { NamedBytes } from "./source.ts"
import type { EncodedMessage, TowerThreadSettings } from "./tower-threads.ts"

serveThread(({ towers, batchSize, options, sharpness: wantsSharpness = false }: TowerThreadSettings) => {
  const opened = towers.map((tower) => ({ ...tower, graph: openTower(tower.place, { threads: 1 }) }))
  const rows = new PixelRows(
    towers.map(({ preprocessing }) => preprocessing),
    batchSize,
  )

  /** Null where the pixels are there. */
  async function prepare({ name, bytes }: NamedBytes, row: number): Promise<ErrorMessage | null> {
    try {
      await preparePixels(bytes, rows.wanted(row), { ...options, name }, "here")
      return null
    } catch (error) {
      return toMessage(asUserError(error))
    }
  }

  async function vectors({ graph, place, preprocessing, embedDim }: (typeof opened)[number], count: number) {
    const given = count === 0 ? new Float32Array(0) : await graph.images(rows.of(preprocessing, count), count)
    const found = requireWidth(given, count, embedDim, place.file)
    return (row: number) => found.slice(row * embedDim, (row + 1) * embedDim)
  }

  async function encode(pictures: readonly NamedBytes[]): Promise<EncodedMessage[]> {
    const places: (number | ErrorMessage)[] = []
    let count = 0
    for (const picture of pictures) places.push((await prepare(picture, count)) ?? count++)
    const { preprocessing } = towers[0]!
    // Before the towers, whose weights push the pixels out of the processor's caches.
    const sharpnesses = wantsSharpness ? sharpnessOfRows(rows, preprocessing, count) : null
    const found: Awaited<ReturnType<typeof vectors>>[] = []
    for (const tower of opened) found.push(await vectors(tower, count))
    const encoded = (row: number) => ({
      vectors: found.map((at) => at(row)),
      sharpness: sharpnesses?.[row] ?? null,
    })
    return places.map((place) => (typeof place === "number" ? encoded(place) : place))
  }

  // One after the other: they share the rows.
  let last: Promise<unknown> = Promise.resolve()
  return {
    answer(pictures: readonly NamedBytes[]): Promise<EncodedMessage[]> {
      const answer = last.then(() => encode(pictures))
      last = answer.catch(() => {})
      return answer
    },
    [Symbol.dispose]: () => void Promise.all(opened.map(({ graph }) => graph.graph.release())),
  }
})
