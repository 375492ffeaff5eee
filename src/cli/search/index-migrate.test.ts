/** `index migrate`, and a search by another model, as words of a command line. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyConfig, tinyInfo, tinyModel } from "../../../test/tiny-model.ts"
import { renderScene } from "../../data/scenes/render.ts"
import { sampleScene } from "../../data/scenes/scene.ts"
import { exportModel } from "../../export/export.ts"
import { Clip } from "../../model/clip.ts"
import { initialize } from "../../model/module.ts"
import { indexPictures } from "../../search/indexing/index-pictures.ts"
import { IndexStore } from "../../search/store/index-store.ts"
import { main } from "../main.ts"

/** A map is learnt from 50 pictures or more. */
const count = 60
let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "migrate-command-"))
  mkdirSync(at("pictures"))
  await exportModel(tinyModel(), tinyInfo, at("old"))
  cpSync(at("old"), at("renamed"), { recursive: true })
  const other = new Clip({ ...tinyConfig, embedDim: 24 })
  initialize(other, 9)
  await exportModel(other, { ...tinyInfo, name: "other" }, at("new"))
  for (let i = 0; i < count; i++)
    writeFileSync(at("pictures", `${i}.jpg`), await renderScene(sampleScene(7, "train", i)))
  await indexPictures(at("base"), [at("pictures")], { model: at("old"), threads: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

let copies = 0
function copyOfBase(): string {
  const path = at(`index-${copies++}`)
  cpSync(at("base"), path, { recursive: true })
  return path
}

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""]
  const output = { out: (text: string) => (out += text), err: (text: string) => (err += text) }
  return { code: await main(words, undefined, output), out, err }
}

const migrate = (index: string, model: string, ...words: string[]) =>
  run("index", "migrate", "--index", index, "--model", at(model), "--threads", "1", "--progress", "none", ...words)

function activeOf(index: string) {
  using store = IndexStore.open(index)
  return store.active()
}

test("a search by another model is refused, and the command that it names makes it possible", async () => {
  const index = copyOfBase()
  const search = () => run("search", "a red square", "--index", index, "--model", at("new"), "--json")
  const { code, out, err } = await search()
  expect([code, out]).toEqual([1, ""])
  const fix = `mobileclip index migrate --index ${index} --model ${at("new")}`
  expect(err).toMatch(/is another model than the one of the index/)
  expect(err).toContain(fix)
  const migrated = await run(...fix.split(" ").slice(1), "--progress", "none")
  expect(migrated).toMatchObject({ code: 0, out: `the index is of new: ${count} pictures, ${count} encoded\n` })
  expect(await search()).toMatchObject({ code: 0, out: expect.stringContaining(at("pictures")) })
  const again = await migrate(index, "new")
  expect([again.code, again.err]).toEqual([1, expect.stringContaining(`is of new already`)])
})

test("a picture that could not be encoded is named, with what brings it back", async () => {
  const [index, gone] = [copyOfBase(), at("pictures", "0.jpg")]
  renameSync(gone, at("away.jpg"))
  const { code, out, err } = await migrate(index, "new")
  const command = `mobileclip index migrate --index ${index} --model ${at("new")} --allow-missing`
  expect([code, out]).toEqual([1, ""])
  expect(err).toContain(
    `1 of ${count} pictures could not be encoded, for example ${gone}: it is gone; the index stays as it was`,
  )
  expect(err).toContain(command)
  const allowed = await migrate(index, "new", "--allow-missing")
  expect(allowed.out).toBe(
    `the index is of new: ${count} pictures, 0 encoded, ${count - 1} before\n` +
      `1 could not be, and left the index until mobileclip index --index ${index} reads them again:\n  ${gone}: it is gone\n`,
  )
  renameSync(at("away.jpg"), gone)
  const back = await run("index", "--index", index, "--threads", "1", "--progress", "none")
  expect(back.out).toMatch(/^1 encoded .* 59 unchanged/)
})

test("--check says whether vectors are the same, and changes nothing", async () => {
  const index = copyOfBase()
  expect((await migrate(index, "renamed", "--check")).out).toBe(
    `the same vectors (median cosine 1.0000 of ${count} pictures, least of texts 1.0000): only the name changed, which --adopt takes over\n`,
  )
  expect((await migrate(index, "new", "--check")).out).toBe(
    "other vectors (they have another length): the pictures must be encoded again\n",
  )
  const json = JSON.parse((await migrate(index, "new", "--check", "--json")).out)
  expect(json).toMatchObject({ model: "new", same: false, adopted: false, compared: 0, median: null })
  expect(activeOf(index)).toEqual(activeOf(at("base")))
})

test("--adopt changes the name where vectors are the same, and only there", async () => {
  const index = copyOfBase()
  const refused = await migrate(index, "new", "--adopt")
  expect([refused.code, refused.out]).toEqual([1, ""])
  expect(refused.err).toMatch(/new gives other vectors than those in the index \(they have another length\)\n.*--adopt/)
  expect(activeOf(index)).toEqual(activeOf(at("base")))
  const { code, out } = await migrate(index, "renamed", "--adopt")
  expect([code, out]).toEqual([
    0,
    `the index is of renamed now: its vectors are the same (median cosine 1.0000 of ${count} pictures, least of texts 1.0000)\n`,
  ])
  expect(activeOf(index)).toMatchObject({ model: "renamed", source: at("renamed") })
  expect(await run("search", "a red square", "--index", index, "--model", at("renamed"))).toMatchObject({ code: 0 })
})

test("--preview says what mapped vectors would find, and changes nothing; --apply switches to them", async () => {
  const index = copyOfBase()
  const preview = await migrate(index, "new", "--preview", "50", "--json")
  expect(JSON.parse(preview.out)).toMatchObject({
    model: "new",
    from: "old",
    pictures: count,
    sample: 50,
    applied: false,
  })
  const text = (await migrate(index, "new", "--preview")).out
  expect(text).toMatch(
    /^old to new by (ridge|procrustes), learnt from 60 pictures: mean cosine [01]\.\d{4} on held-out ones\n/,
  )
  const share = String.raw`recall@\d0 (\d+\.\d) % \(\1 \+- \d+\.\d %\)`
  // The sample is all pictures, so that what is estimated is what was measured.
  expect(text).toMatch(new RegExp(String.raw`\n  text queries \(365\): ${share}, `))
  expect(text).toMatch(/\n {2}picture queries \(60\): .*\nencoding all pictures takes about 1 min here\n$/)
  expect(activeOf(index)).toEqual(activeOf(at("base")))
  const applied = await migrate(index, "new", "--preview", "--apply", "--accept-poor")
  expect(applied.out).toMatch(
    /\nthe index answers with mapped vectors now; the same command without --preview and --apply/,
  )
  expect(activeOf(index)).toMatchObject({ model: "new", settings: { mapped: { from: "old", pictures: count } } })
  const found = JSON.parse((await run("search", "a red square", "--index", index, "--json")).out)
  expect(found.notes).toEqual([expect.stringMatching(/^vectors are mapped from old, an approximation/)])
  const twice = await migrate(index, "new", "--preview")
  expect([twice.code, twice.err]).toEqual([1, expect.stringContaining("a map of a map is worse")])
  expect((await migrate(index, "new")).out).toBe(`the index is of new: ${count} pictures, ${count} encoded\n`)
  expect(activeOf(index).settings.mapped).toBeUndefined()
})

test("--cancel needs no model, and says what is given up; without it a model is asked for", async () => {
  const index = copyOfBase()
  expect(await run("index", "migrate", "--index", index, "--cancel")).toMatchObject({
    code: 0,
    out: "no migration has begun\n",
  })
  const { code, err } = await run("index", "migrate", "--index", index)
  expect([code, err]).toEqual([2, expect.stringContaining("required option '--model <model>' not specified")])
})

test.each([
  [["--check", "--preview"], "two different questions"],
  [["--accept-poor"], "--accept-poor belongs to --apply"],
  [["--cancel"], "--cancel stands alone"],
  [["--apply"], "--apply belongs to --preview"],
  [["--check", "--restart"], "--restart is for encoding all pictures, which --check does not"],
  [["--preview", "--most-missing", "0.1"], "--most-missing is for encoding all pictures, which --preview does not"],
  [["--preview", "49"], "50"],
])("%j is refused before any work", async (words, message) => {
  const { code, err } = await migrate(at("base"), "new", ...words)
  expect(code).toBe(2)
  expect(err).toContain(message)
})
