import { execFileSync } from "node:child_process"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { indexPictures } from "../../search/indexing/index-pictures.ts"
import { main } from "../main.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "upkeep-commands-"))
  mkdirSync(at("pictures"))
  await exportModel(tinyModel(), tinyInfo, at("model"))
  for (let i = 0; i < 3; i++) writeFileSync(at("pictures", `${i}.jpg`), await renderScene(sampleScene(7, "train", i)))
  writeFileSync(at("pictures", "bad.jpg"), "no picture")
  await indexPictures(at("index"), [at("pictures")], { model: at("model"), threads: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

async function index(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""]
  const output = { out: (text: string) => (out += text), err: (text: string) => (err += text) }
  const code = await main(["index", ...words, "--index", at("index")], undefined, output)
  return { code, out, err }
}

test("status, forget, compact, verify and retry are of the index that is named", async () => {
  const status = await index("status", "--json")
  expect(JSON.parse(status.out)).toMatchObject({ folder: at("index"), pictures: 3, failures: [{ count: 1 }] })
  expect((await index("status")).out).toMatch(/3 in 3 files.*\n(?:.*\n)*failed +1: .*bad\.jpg/)
  expect((await index("status", "--failed")).out).toMatch(/^[^\n]*bad\.jpg[^\n]*\n$/)
  const forgotten = await index("forget", at("pictures", "1.jpg"), "--json")
  expect(JSON.parse(forgotten.out)).toMatchObject({ files: 1, pictures: 1, excluded: true })
  expect((await index("forget", "--list")).out).toBe(`${at("pictures", "1.jpg")}\n`)
  expect((await index("compact")).out).toMatch(/^1 removed, 2 pictures left; \d\.\d MB before, \d\.\d MB now\n$/)
  expect(await index("verify")).toMatchObject({ code: 0, out: expect.stringMatching(/^2 contents, 0 problems/) })
  writeFileSync(at("index", "vectors-2.f16"), "cut")
  const damaged = await index("verify")
  expect([damaged.code, damaged.out]).toEqual([1, expect.stringMatching(/was cut: .*--repair/)])
  expect(await index("verify", "--repair", "--threads", "1")).toMatchObject({ code: 0 })
  expect(await index("retry", "--threads", "1")).toMatchObject({ code: 3, out: "0 encoded, 0 copies, 1 failed\n" })
  const undone = await index("forget", "--undo", at("pictures", "1.jpg"))
  expect(undone).toMatchObject({
    code: 0,
    out: `the next run indexes 1 path again: mobileclip index --index ${at("index")}\n`,
  })
  expect((await index("forget", at("nowhere"))).err).toMatch(
    /is not in the index; nothing was changed\n.*index status --index .* tells/,
  )
  expect((await index("forget")).code).toBe(2)
})

test("the command that a cut file of vectors is told with repairs this index, also one in a folder with a space", async () => {
  const own = at("my index")
  cpSync(at("index"), own, { recursive: true })
  const vectors = readdirSync(own).find((name) => name.endsWith(".f16"))!
  writeFileSync(join(own, vectors), "cut")
  const output = { out: "", err: "" }
  const run = (...words: string[]) =>
    main(words, undefined, { out: (text) => (output.out += text), err: (text) => (output.err += text) })
  expect(await run("index", "--index", own, "--threads", "1", "--progress", "none")).toBe(1)
  const hinted = /mobileclip (index verify --repair .*) encodes again/.exec(output.err)![1]!
  const words = execFileSync("sh", ["-c", `printf '%s\\n' ${hinted}`], { encoding: "utf8" })
    .trim()
    .split("\n")
  expect(words).toEqual(["index", "verify", "--repair", "--index", own])
  expect(await run(...words, "--threads", "1")).toBe(0)
  expect(output.out).toMatch(/0 problems, \d repaired/)
  expect(await run("index", "verify", "--index", own)).toBe(0)
})

test("what failed before is told apart from what is unchanged, and one is not counted in the plural", async () => {
  copyFileSync(at("pictures", "2.jpg"), at("pictures", "again.jpg"))
  const words = ["--threads", "1", "--progress", "none"]
  expect((await index(...words)).out).toMatch(
    /^1 encoded \(.*\), 1 copied or moved, 2 unchanged, 0 gone, 0 failed, 1 failed before/,
  )
  expect(await index(...words)).toMatchObject({
    code: 0,
    out:
      "0 encoded, 0 copied or moved, 4 unchanged, 0 gone, 0 failed, " +
      `1 failed before (mobileclip index retry --index ${at("index")} tries again)\n` +
      "the index has 3 pictures in 4 files\n",
  })
  expect((await index("status")).out).toContain("3 in 4 files (1 copy)")
  expect(await index("retry", "--threads", "1")).toMatchObject({
    err: expect.stringContaining(" 1 file could not be read: "),
  })
  expect((await index("forget", "--once", at("pictures", "1.jpg"))).out).toMatch(/^1 file and 1 picture forgotten; /)
})

test("where a folder is away the command ends with 3 and says so, and patterns of --exclude stay", async () => {
  const words = ["--threads", "1", "--progress", "none"]
  mkdirSync(at("pictures", "drive"))
  writeFileSync(at("pictures", "drive", "9.jpg"), await renderScene(sampleScene(7, "train", 9)))
  expect(await index(...words)).toMatchObject({ code: 0, out: expect.stringMatching(/^\d encoded/) })
  rmSync(at("pictures", "drive", "9.jpg"))
  expect(await index(...words)).toMatchObject({
    code: 3,
    out: expect.stringContaining("1 kept whose folder is away"),
    err: expect.stringMatching(/drive is empty, .*\n(?:.*\n)*.*1 file could not be looked for/),
  })
  expect(await index(...words, "--exclude", "drive", "--exclude", "*.gif")).toMatchObject({
    code: 0,
    out: expect.stringContaining("1 gone"),
  })
  expect((await index("status")).out).toContain("without drive *.gif")
  mkdirSync(at("pictures", "inner"))
  await index(at("pictures", "inner"), ...words, "--exclude", "raw")
  const status = (await index("status")).out
  expect(status).toContain(`${at("pictures", "inner")}, without raw`)
  expect(status).toMatch(/pictures, last walked .*, without drive \*\.gif/)
})
