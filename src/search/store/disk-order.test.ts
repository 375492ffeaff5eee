/** In which order files are put on the disk: a power failure shows what a killed process does not. */
import { mkdtempSync, readlinkSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import { IndexStore } from "./index-store.ts"
import { IndexWriter } from "./index-writer.ts"

/** Is told of each file that is put on the disk. */
const watched = vi.hoisted(() => ({ sync: (_: number) => {} }))
vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>()
  const told = (work: (descriptor: number) => void) => (descriptor: number) => {
    watched.sync(descriptor)
    work(descriptor)
  }
  return { ...real, fsyncSync: told(real.fsyncSync), fdatasyncSync: told(real.fdatasyncSync) }
})

test("a new file of vectors is on the disk with its name, and its rows, before the transaction that counts them", async () => {
  // Linux alone says where an open file is.
  if (process.platform !== "linux") return
  const folder = mkdtempSync(join(tmpdir(), "disk-order-"))
  try {
    const path = join(folder, "index")
    using writer = await IndexWriter.open(path, "a test")
    const settings = { orientation: "apply", decode: "exact", store: "file" } as const
    const active = writer.addGeneration({ model: "m", source: "/m", identity: "m", dim: 4, settings })
    const seen: string[] = []
    watched.sync = (descriptor) => {
      const place = readlinkSync(`/proc/self/fd/${descriptor}`)
      seen.push(place === path ? "folder" : place.endsWith(".f16") ? "vectors" : place)
    }
    const setMeta = vi.spyOn(writer, "setMeta").mockImplementation((key, value) => {
      using store = IndexStore.open(path)
      seen.push(`${key} ${value} after ${store.count}`)
      setMeta.mockRestore()
      writer.setMeta(key, value)
    })
    const content = {
      ...{ hash: new Uint8Array(32), bytes: 1, format: "jpg", width: 1, height: 1, orientation: 1, taken: null },
      ...{ camera: null, lens: null, latitude: null, longitude: null, sharpness: null, caption: null, keywords: [] },
    }
    writer.addPictures(active, [{ content, vector: Float32Array.of(1, 0, 0, 0), files: [] }])
    expect(seen).toEqual(["vectors", "folder", "vectors", "count 1 after 0"])
  } finally {
    watched.sync = () => {}
    rmSync(folder, { recursive: true })
  }
})
