import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { IndexWriter } from "../store/index-writer.ts"
import { captionsOf } from "./codes.ts"

test("captions that measure codes are others than those that choose how many candidates there are", async () => {
  const folder = mkdtempSync(join(tmpdir(), "codes-captions-"))
  const writer = await IndexWriter.open(join(folder, "index"), "test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "m", source: "m", identity: "m", dim: 2, settings })
  const parts = () =>
    ([0, 1] as const).map((part) => captionsOf(writer.store, generation, part).map(([first]) => first))
  expect(parts()).toEqual([[], []])
  for (let number = 0; number < 365; number++) {
    const vector = new Uint8Array(Float32Array.of(number, 0).buffer)
    writer.store.run("INSERT INTO background VALUES (?, 'prompt', ?, NULL, ?)", generation.id, number, vector)
  }
  const [choosing, measuring] = parts()
  expect(choosing).toEqual(Array.from({ length: 32 }, (_, i) => i * 11))
  expect(measuring).toEqual(Array.from({ length: 32 }, (_, i) => i * 11 + 1))
  writer[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})
