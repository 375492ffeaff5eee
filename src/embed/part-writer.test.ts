import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { Random } from "../core/arrays/random.ts"
import { PartWriter, partPaths } from "./part-writer.ts"
import type { EmbedSettings } from "./settings.ts"

const folder = mkdtempSync(join(tmpdir(), "part-writer-"))
afterAll(() => rmSync(folder, { recursive: true }))

test("JSONL brings every float32 back", async () => {
  const random = new Random(1)
  // One in some thirty values needs the ninth digit.
  const vector = Float32Array.from({ length: 1000 }, () => random.uniform(-1, 1) * 10 ** -random.int(4))
  const settings = { inputs: { kind: "pictures" }, output: "jsonl" } as EmbedSettings
  const paths = partPaths(folder, "0", settings)
  const writer = await PartWriter.begin(paths, settings)
  await writer.add([{ facts: { image_path: "/a.jpg", caption: null }, vector }])
  expect(await writer.commit()).toBe(1)
  const { embedding } = JSON.parse(readFileSync(paths.vectors, "utf8"))
  expect(Float32Array.from(embedding)).toEqual(vector)
})
