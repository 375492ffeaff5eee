import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { exportModel } from "../export/export.ts"
import { IndexWriter } from "../search/store/index-writer.ts"
import { MobileCLIP } from "../weights/clip-node.ts"
import { indexOfStore } from "./index-of-store.ts"

const folder = mkdtempSync(join(tmpdir(), "mcp-classify-"))
afterAll(() => rmSync(folder, { recursive: true }))

test("labels of pictures by a model that is opened once, as the index reads pictures", async () => {
  await exportModel(tinyModel(), tinyInfo, join(folder, "model"))
  const [path, bad] = [join(folder, "a.jpg"), join(folder, "bad.jpg")]
  const halves = Uint8Array.from({ length: 90 * 60 * 3 }, (_, i) => (Math.floor(i / 3) % 90 < 30 ? 250 : i % 200))
  const picture = sharp(halves, { raw: { width: 90, height: 60, channels: 3 } })
  await picture.withMetadata({ orientation: 6 }).toFile(path)
  writeFileSync(bad, "not a picture")
  using writer = await IndexWriter.open(join(folder), "test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  writer.addGeneration({ model: "tiny", source: "/m", identity: "i", dim: 16, settings })
  await using clip = await MobileCLIP.load(join(folder, "model"), { cache: false, orientation: "apply" })
  let opened = 0
  const openModel = async () => {
    if (opened++ === 0) throw new Error("not yet")
    return clip
  }
  const index = indexOfStore({
    store: writer.store,
    search: async () => Promise.reject(new Error("unused")),
    openModel,
  })
  const labels = ["cat", "dog", "a receipt"]
  const options = { top: 2, signal: new AbortController().signal }
  await expect(index.classify([path], labels, options)).rejects.toThrow("not yet")
  const found = await index.classify([path, bad], labels, options)
  // The same model, asked directly; its own decoder turns the picture.
  const [expected] = await clip.classify([path], labels, { top: 2 })
  expect(found).toEqual([
    { path, labels: expected, error: null },
    { path: bad, labels: [], error: `${bad} is not a picture` },
  ])
  expect(opened).toBe(2)
  await expect(index.classify([path], labels, { ...options, signal: AbortSignal.abort() })).rejects.toThrow()
})
