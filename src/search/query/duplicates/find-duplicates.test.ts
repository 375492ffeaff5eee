import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { l2Normalize } from "../../../core/arrays/similarity.ts"
import { SearchIndex } from "../../search-index.ts"
import { IndexWriter } from "../../store/index-writer.ts"
import { worseFiles } from "./find-duplicates.ts"
import type { DuplicatePicture } from "./groups.ts"

let folder: string
const at = (...names: string[]) => join(folder, "pictures", ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "duplicates-"))
  for (const name of ["a", "b"]) mkdirSync(at(name), { recursive: true })
  const noise = Buffer.from(Uint8Array.from({ length: 3 * 300 * 200 }, (_, i) => (i * 7919) % 251))
  const picture = (blur: number) => {
    const image = sharp(noise, { raw: { width: 300, height: 200, channels: 3 } })
    return (blur > 0 ? image.blur(blur) : image).png().toBuffer()
  }
  const [blurred, crisp] = [await picture(4), await picture(0)]
  for (const name of ["a/blurred.png", "b/blurred.png"]) writeFileSync(at(name), blurred)
  writeFileSync(at("a/crisp.png"), crisp)
  writeFileSync(at("b/gone.png"), crisp)
  const vector = l2Normalize(
    Float32Array.from({ length: 16 }, (_, d) => Math.sin(d + 1)),
    16,
  )
  const files = [["a/blurred.png", "b/blurred.png"], ["a/crisp.png"], ["b/large.png"]]
  using writer = await IndexWriter.open(join(folder, "index"), "a test")
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  writer.addGeneration({ model: "none", source: "none", identity: "none", dim: 16, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, ?)", at())
  writer.addPictures(
    writer.active!,
    files.map((paths, n) => ({
      content: {
        ...{ hash: new Uint8Array(32).fill(n), bytes: 1000 - n, format: "png", orientation: 1, taken: null },
        ...{ width: n === 2 ? 600 : 300, height: n === 2 ? 400 : 200, camera: null, lens: null, latitude: null },
        ...{ longitude: null, sharpness: null, caption: null, keywords: [] },
      },
      vector,
      files: paths.map((path) => ({ root: 1, path, size: 1000, mtime: 1 })),
    })),
  )
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("with a filter, files outside it are neither kept nor listed; the sharper one is the best of as many pixels", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const steps: [number, number][] = []
  const onSharpness = (...step: [number, number]) => steps.push(step)
  const { groups } = await index.duplicates({ filters: { folders: [at("a")] }, onSharpness })
  expect(groups).toHaveLength(1)
  const [{ best, others }] = groups as [(typeof groups)[0]]
  expect(best.paths).toEqual([at("a/crisp.png")])
  expect(others.map(({ paths }) => paths)).toEqual([[at("a/blurred.png")]])
  expect(best.sharpness!).toBeGreaterThan(2 * others[0]!.sharpness!)
  expect(steps).toEqual([
    [1, 2],
    [2, 2],
  ])
})

test("the worse files of a folder alone", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const { groups } = await index.duplicates({ filters: { folders: [at("a")] } })
  expect(worseFiles(groups)).toEqual([at("a/blurred.png")])
})

test("files that could go: never the kept one by another name, nothing where the best is gone", () => {
  linkSync(at("a/crisp.png"), at("a/linked.png"))
  symlinkSync(at("a/crisp.png"), at("b/pointing.png"))
  const picture = (...names: string[]): DuplicatePicture => ({
    ...{
      paths: names.map((name) => at(name)),
      cosine: 1,
      width: 1,
      height: 1,
      bytes: 1,
      sharpness: null,
      hash: "",
      position: 0,
    },
  })
  const others = [picture("b/pointing.png", "a/blurred.png", "b/never.png")]
  const best = picture("b/never.png", "a/crisp.png", "a/linked.png", "b/gone.png")
  expect(worseFiles([{ best, others }])).toEqual([at("b/gone.png"), at("a/blurred.png")])
  expect(worseFiles([{ best: picture("b/never.png"), others }])).toEqual([])
})
