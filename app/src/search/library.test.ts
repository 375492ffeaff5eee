import type { MobileCLIP } from "mobileclip/browser"
import { expect, test, vi } from "vitest"
import type { Ready } from "../model/state.ts"
import { PictureLibrary } from "./library.ts"

/** Gives every picture one vector; a file that holds "broken" cannot be read. */
function modelOf(key: string, vector: readonly number[]): Ready {
  const encodeImages = async (files: readonly Blob[]) => {
    for (const file of files) if ((await file.text()) === "broken") throw new Error("it is not a picture")
    return Float32Array.from(files.flatMap(() => vector))
  }
  const clip = { encodeImages, embedDim: vector.length } as unknown as MobileCLIP
  return { kind: "ready", clip, address: null, seconds: 0, key }
}

const picture = (path: string, content = path) => ({ file: new File([content], path), path })
/** Files are read by other threads, which a busy machine lets wait. */
const eventually = (check: () => void) => vi.waitFor(check, 60_000)
const vectorsIn = (library: PictureLibrary) => library.encoded.map(({ vector }) => [...vector!])

test("vectors are of the model that is open, after a time without one too; those of the same model stay", async () => {
  const library = new PictureLibrary()
  const first = modelOf("first", [1, 0])
  library.use(first)
  library.add([picture("a.jpg"), picture("b.jpg")])
  await eventually(() =>
    expect(vectorsIn(library)).toEqual([
      [1, 0],
      [1, 0],
    ]),
  )
  library.use(null)
  library.use({ ...first })
  expect(vectorsIn(library)).toEqual([
    [1, 0],
    [1, 0],
  ])
  library.use(null)
  library.use(modelOf("second", [0, 1]))
  expect(vectorsIn(library)).toEqual([])
  const { version } = library.progress.value
  await eventually(() =>
    expect(vectorsIn(library)).toEqual([
      [0, 1],
      [0, 1],
    ]),
  )
  expect(library.progress.value.version).toBeGreaterThan(version)
})

test("a file of the same name as one that cannot be read is encoded, and what cannot be read is named once", async () => {
  const library = new PictureLibrary()
  library.use(modelOf("first", [1, 0]))
  library.add([picture("x.jpg", "broken"), picture("y.jpg")])
  await eventually(() => expect(library.progress.value.unread).toHaveLength(1))
  library.add([picture("x.jpg", "good")])
  await eventually(() => expect(library.progress.value).toMatchObject({ total: 3, done: 2, isRunning: false }))
  expect(library.progress.value.unread.map(({ path, reason }) => [path, reason])).toEqual([
    ["x.jpg", "it is not a picture"],
  ])
  expect(new Set(library.encoded.map(({ id }) => id)).size).toBe(2)
})
