import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { IndexWriter, type NewPicture } from "../search/store/index-writer.ts"
import { describeIndex, hasFile } from "./index-facts.ts"

const folder = mkdtempSync(join(tmpdir(), "mcp-facts-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** A content without a vector, of a file with this name. */
function picture(name: string, n: number, taken: string | null, camera: string | null): NewPicture {
  return {
    content: {
      ...{ hash: Uint8Array.of(n), bytes: 10, format: "jpg", width: 4, height: 3, orientation: 1, taken, camera },
      ...{ lens: null, latitude: null, longitude: null, caption: null, keywords: [], sharpness: null },
    },
    vector: null,
    files: [{ root: 1, path: name, size: 10, mtime: 1 }],
  }
}

test("counts, times, cameras, failures and files of an index", async () => {
  using writer = await IndexWriter.open(folder, "test")
  const { store } = writer
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "tiny", source: "/m", identity: "i", dim: 4, settings })
  const root = join(folder, "photos")
  store.run("INSERT INTO roots (id, path) VALUES (1, ?)", root)
  expect(describeIndex(store)).toEqual({
    ...{ pictures: 0, files: 0, model: "tiny", dim: 4, roots: [root], taken: null, cameras: [] },
    failures: { count: 0, some: [] },
  })
  writer.addPictures(
    generation,
    [
      picture("a.jpg", 1, "2023-07-14T18:02:11", "Pixel 8"),
      picture("sub/b.jpg", 2, "2021-01-01T00:00:00", "EOS R5"),
      picture("c.jpg", 3, null, "Pixel 8"),
      picture("gone.jpg", 4, "1999-01-01T00:00:00", "Old"),
    ],
    [{ root: 1, path: "bad.jpg", size: 1, mtime: 1, reason: "is damaged" }],
  )
  writer.putFile({ root: 1, path: "copy.jpg", size: 10, mtime: 1 }, 1)
  writer.removeFile(Number(store.row("SELECT id FROM files WHERE path = 'gone.jpg'")!.id))
  expect(describeIndex(store)).toEqual({
    ...{ pictures: 3, files: 4, model: "tiny", dim: 4, roots: [root] },
    taken: { first: "2021-01-01T00:00:00", last: "2023-07-14T18:02:11" },
    cameras: [
      { name: "Pixel 8", pictures: 2 },
      { name: "EOS R5", pictures: 1 },
    ],
    failures: { count: 1, some: [{ path: join(root, "bad.jpg"), reason: "is damaged" }] },
  })
  const is = (...parts: string[]) => hasFile(store, join(...parts))
  expect([is(root, "a.jpg"), is(root, "sub", "b.jpg"), is(root, "copy.jpg")]).toEqual([true, true, true])
  expect([is(root, "gone.jpg"), is(root, "bad.jpg"), is(root), is(folder, "a.jpg"), is("/", "a.jpg")]).toEqual(
    Array(5).fill(false),
  )
})
