/** `mobileclip search` on an index of real files by a small model, hostile names among them, and on one without files. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ended, startProgram } from "../../../test/program.ts"
import { brute, count, SmallIndex, textTerm } from "../../../test/small-index.ts"
import { indexPictures } from "../../search/indexing/index-pictures.ts"
import { makeThumbnails } from "../../search/indexing/thumbnails.ts"
import type { SearchPage } from "../../search/query/search-page.ts"
import { SearchIndex } from "../../search/search-index.ts"
import { gap, layOut } from "../../search/show/sheet-layout.ts"
import { IndexWriter } from "../../search/store/index-writer.ts"
import { thumbnailPath } from "../../search/store/thumbnail-path.ts"
import { main } from "../main.ts"

let small: SmallIndex
const at = (...names: string[]) => join(small.folder, ...names)
const index = () => ["--index", at("real")]
/** A title, a colour, a tag, a line break and a turn of direction, and what XML does not have. */
const hostile = "\x1b]0;owned\x07\x1b[31m<script>alert(1)<b>&quot;\n\u202e\uffff.png"
const colours = ["red", "green", "blue", "yellow", "cyan", "magenta", "white", "gray", "orange", "purple"]

/** What a terminal would obey, but for line breaks. */
const steering = /(?!\n)[\p{Cc}\u202a-\u202e]/u
const introducer = "\x1b"

beforeAll(async () => {
  small = await SmallIndex.make()
  mkdirSync(at("photos"))
  for (const name of colours) await writePicture(at("photos", `${name}.png`), name)
  copyFileSync(at("photos", "red.png"), at("photos", "zz-red.png"))
  writeFileSync(at("photos", "gray.txt"), "grandpa's old boat")
  await writePicture(at("photos", hostile), "black", { Make: "<script>", Model: "\x1b[2Jcam\x9b31m" })
  await indexPictures(at("real"), [at("photos")], { model: small.model, threads: 0 })
})
afterAll(() => small[Symbol.dispose]())

/** One colour, with a square in it that tells vectors apart. */
async function writePicture(path: string, background: string, camera = {}): Promise<void> {
  const input = { create: { width: 20, height: 14, channels: 3, background: "navy" } } as const
  const picture = sharp({ create: { width: 64, height: 48, channels: 3, background } })
  await picture
    .composite([{ input, left: background.length, top: 3 }])
    .withExif({ IFD0: camera })
    .png()
    .toFile(path)
}

async function run(...words: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const output = { out: (part: string) => void out.push(part), err: (part: string) => void err.push(part) }
  const code = await main(["search", ...words], undefined, output)
  return { code, out: out.join(""), err: err.join("") }
}

async function pageOf(...words: string[]): Promise<SearchPage> {
  const { code, out, err } = await run(...words, "--json", ...index())
  expect(code, err).toBe(0)
  return JSON.parse(out)
}

test("a table, JSON, paths, all pages, wrong usage", async () => {
  const index = ["--index", small.path]
  const table = await run("red", "car", "-people", "--limit", "3", ...index)
  expect([table.code, table.out.match(/\[missing\]/g)?.length]).toEqual([0, 3])
  const json = await run("dog", "--json", "--explain", "--limit", "7", ...index)
  const page = JSON.parse(json.out)
  expect([page.query, page.hits.length, page.explanation.hits.length]).toEqual(['"dog"', 7, 7])
  const pages = await run("dog", "-0", "--page-all", "--limit", "90", ...index)
  expect(new Set(pages.out.split("\0").slice(0, -1)).size).toBe(count)
  const whole = JSON.parse((await run("dog", "--json", "--explain", "--page-all", ...index)).out)
  expect(whole.hits.map(({ rank }: { rank: number }) => rank)).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  expect(whole.explanation.hits.map(({ cosine }: { cosine: number }) => Number(cosine.toPrecision(7)))).toEqual(
    whole.hits.map(({ cosine }: { cosine: number }) => cosine),
  )
  expect((await run("--duplicates", "--threshold", "0.7", "--json", "--progress", "none", ...index)).code).toBe(0)
  for (const query of ["dog", "-dog", "--like=a.jpg", "--limit=3", "--words=1", "--explain", "--page-all", "--weak=2"])
    expect(await run("--duplicates", query, ...index)).toMatchObject({
      ...{ code: 2, err: expect.stringMatching(/--duplicates is in place of a query/) },
    })
  expect(await run("dog", "--threshold", "0.9", ...index)).toMatchObject({ code: 2 })
  for (const two of [
    ["-0", "--json"],
    ["--json", "--pictures", "blocks"],
    ["-0", "--explain"],
  ])
    expect(await run("dog", ...two, ...index)).toMatchObject({ code: 1, out: "" })
  expect(await run("dog", "--words", "30", ...index)).toMatchObject({ code: 2 })
  expect((await run("dog", "--index", at("nowhere"))).err).toMatch(/there is no index in/)
})

test("a sheet has the pictures of the page in its order", async () => {
  const like = ["--like", at("photos", "red.png")]
  const { hits } = await pageOf(...like)
  expect(await run(...like, "--sheet", at("out.png"), ...index())).toMatchObject({ code: 0, err: "" })
  const layout = layOut(hits, hits.length)
  const { data, info } = await sharp(at("out.png")).raw().toBuffer({ resolveWithObject: true })
  expect([info.width, info.height]).toEqual([layout.width, layout.height])
  for (const [place, { paths }] of hits.entries()) {
    const row = layout.rows.find(({ first, count }) => place >= first && place < first + count)!
    const left = gap + (place - row.first) * (layout.cellWidth + gap)
    const start = ((row.top + row.height - 2) * info.width + left + 1) * info.channels
    const corner = sharp(paths[0]!).extract({ left: 1, top: 46, width: 1, height: 1 })
    expect([...data.subarray(start, start + 3)], paths[0]).toEqual([...(await corner.removeAlpha().raw().toBuffer())])
  }
})

test("a page has its pictures in order, and names as text", async () => {
  const { hits } = await pageOf("black", "-white")
  expect(await run("black", "-white", "--sheet", at("out.html"), ...index())).toMatchObject({ code: 0, err: "" })
  const text = readFileSync(at("out.html"), "utf8")
  expect(text.match(/data:image\/jpeg/g)).toHaveLength(hits.length)
  expect(text.match(/(?<=<b>)\d+(?=<\/b>)/g)!.map(Number)).toEqual(hits.map(({ rank }) => rank))
  const shown = [...text.matchAll(/(?<=<br>)[^<]*\.png(?=<)/g)].map(([name]) => name)
  expect(shown).toHaveLength(hits.length)
  expect(shown[hits.findIndex(({ paths }) => paths[0]!.includes("owned"))]).toContain("&#60;script&#62;alert(1)")
  expect(text).not.toContain("<script")
  expect(text).not.toMatch(steering)
})

test("blocks stand before their lines, and nothing else steers the terminal", async () => {
  const { code, out } = await run("black", "--pictures", "blocks", "--weak", "99", "--explain", ...index())
  expect(code).toBe(0)
  const lines = out.split("\n")
  const first = lines.findIndex((line) => /^ +1 /.test(line))
  expect(lines[first - 1]).toMatch(/\u2580/)
  expect(lines.filter((line) => /\u2580/.test(line)).length).toBeGreaterThan(11 * 5)
  expect(out.replaceAll(new RegExp(`${introducer}\\[[\\d;]*m`, "g"), "")).not.toMatch(steering)
  const named = lines.find((line) => line.includes("owned"))!
  expect(named).toContain("\\x1b]0;owned\\x07\\x1b[31m<script>alert(1)<b>&quot;\\n\\u202e")
})

test("hostile names, and a camera's, are escaped in the table, JSON, and groups", async () => {
  for (const form of [[], ["--json"], ["--explain"]]) {
    const { out, err } = await run("owned", "--weak", "99", ...form, ...index())
    expect(out).toContain("owned")
    expect(`${out}${err}`).not.toMatch(steering)
  }
  const { hits } = await pageOf("owned")
  const hit = hits.find(({ paths }) => paths[0] === at("photos", hostile))!
  expect(hit.camera).toContain("cam")
  copyFileSync(at("photos", hostile), at("photos", `${hostile}2.png`))
  await indexPictures(at("real"), [at("photos")], { model: small.model, threads: 0 })
  const groups = await run("--duplicates", "--threshold", "1", "--progress", "none", ...index())
  rmSync(at("photos", `${hostile}2.png`))
  await indexPictures(at("real"), [at("photos")], { model: small.model, threads: 0 })
  expect(groups.out).not.toMatch(steering)
  expect(
    groups.out
      .split("\n")
      .filter((line) => line !== "")
      .every((line) => /^group \d|^ {2}\//.test(line)),
  ).toBe(true)
})

test("paths for a pipe are those of the hits before the divider, as they are", async () => {
  const like = ["--like", at("photos", "blue.png")]
  const { hits } = await pageOf(...like)
  expect(hits.flatMap(({ paths }) => paths)).toContain(at("photos", hostile))
  const { out } = await run(...like, "-0", ...index())
  expect(out).toBe(hits.map(({ paths }) => `${paths[0]}\0`).join(""))
})

test("an explanation adds up, and its words are those of the paths", async () => {
  const { hits, explanation } = await pageOf("yellow", "2:dog", "--explain")
  expect(explanation!.words.map(({ word }) => word)).toEqual(["yellow", "dog"])
  for (const [i, { rank, cosine, words, score, terms }] of explanation!.hits.entries()) {
    expect([rank, score]).toEqual([hits[i]!.rank, expect.closeTo(hits[i]!.score, 6)])
    expect(cosine + words!).toBeCloseTo(score, 6)
    expect(terms.map(({ weight }) => weight)).toEqual([1, 2])
  }
  const { out } = await run("yellow", "2:dog", "--explain", "--weak", "99", ...index())
  expect(out).toContain("Words add to the cosine: yellow 0.0")
  const lines = out.split("\n").filter((line) => /^\d+: cosine/.test(line))
  expect(lines).toHaveLength(hits.length)
  const some = (await run("yellow", "2:dog", "--explain", "--weak", "0", ...index())).out
  const matches = hits.filter(({ verdict }) => verdict === "match").length
  expect(some.split("\n").filter((line) => /^\d+: cosine/.test(line))).toHaveLength(matches)
  const yellow = hits.find(({ paths }) => paths[0]!.endsWith("yellow.png"))!
  const line = lines.find((each) => each.startsWith(`${yellow.rank}: `))!
  expect(line).toContain(
    `+ words ${(yellow.words!.score * explanation!.wordWeight).toFixed(3)} = ${yellow.score.toFixed(3)}; "yellow" `,
  )
})

test.each([
  ["grandpa", "gray.png"],
  ["the boat of Grandpa", "gray.png"],
  ["zz", "zz-red.png"],
])("a word that only one caption or path has brings its picture to the top: %s", async (query, name) => {
  const without = await pageOf(query, "--words", "0")
  expect(without.hits[0]!.paths.at(-1)).not.toBe(at("photos", name))
  const { hits } = await pageOf(query)
  expect(hits[0]!.paths).toContain(at("photos", name))
})

test("duplicates as JSON: the same bytes, with the best of each; -0 gives the others", async () => {
  const found = await run("--duplicates", "--threshold", "1", "--json", "--progress", "none", ...index())
  const { groups, searched } = JSON.parse(found.out)
  expect(searched).toBe(colours.length + 1)
  expect(groups).toEqual([
    {
      best: expect.objectContaining({ paths: [at("photos", "red.png"), at("photos", "zz-red.png")], cosine: 1 }),
      others: [],
    },
  ])
  const text = await run("--duplicates", "--threshold", "1", "--progress", "none", ...index())
  expect(text.err).toBe("1 group of 2 files among 11 pictures\n")
  const others = await run("--duplicates", "--threshold", "1", "-0", "--progress", "none", ...index())
  expect(others.out).toBe(`${at("photos", "zz-red.png")}\0`)
})

test("groups of duplicates as a page, and their format and a full output", async () => {
  const groups = ["--duplicates", "--threshold", "1", "--progress", "none", ...index()]
  expect(await run(...groups, "--sheet", at("groups.png"))).toMatchObject({
    ...{ code: 1, err: expect.stringContaining("groups of duplicates are written as a page") },
  })
  expect((await run(...groups, "--sheet", at("groups.html"))).err).toBe("1 group of 2 files among 11 pictures\n")
  const text = readFileSync(at("groups.html"), "utf8")
  expect(text.match(/data:image\/jpeg/g)).toHaveLength(1)
  expect(text.replaceAll(/<[^>]*>/g, " ")).toMatch(
    /Group 1\s.*best.*64x48.*photos\/red\.png.*the same bytes: \S*zz-red\.png/s,
  )
})

test("where a large part of the pictures is grouped a line says so, with -0 too", async () => {
  const groups = (threshold: string) => [
    "--duplicates",
    "--threshold",
    threshold,
    "--progress",
    "none",
    "--index",
    small.path,
  ]
  const { groups: found, notes } = JSON.parse((await run(...groups("0.6"), "--json")).out)
  const grouped = found.reduce((sum: number, { others }: { others: unknown[] }) => sum + 1 + others.length, 0)
  expect(grouped / count).toBeGreaterThan(0.2)
  expect(notes).toEqual([
    expect.stringMatching(new RegExp(`^${Math.round((100 * grouped) / count)} % of 200 pictures are in a group`)),
  ])
  expect((await run(...groups("0.6"), "-0")).err).toBe(`${notes[0]}\n`)
  expect(JSON.parse((await run(...groups("1"), "--json")).out).notes).toEqual([])
})

test("kept small pictures are drawn where the files are gone", async () => {
  renameSync(at("photos"), at("away"))
  try {
    const sheet = [...index(), "green", "--sheet", at("kept.html")]
    expect((await run(...sheet)).err).toContain("11 pictures on the sheet could not be read")
    renameSync(at("away"), at("photos"))
    await makeThumbnails(at("real"))
    renameSync(at("photos"), at("away"))
    const { out, err } = await run(...sheet, "--weak", "99", "--pictures", "blocks")
    expect(err).not.toContain("could not be read")
    expect(readFileSync(at("kept.html"), "utf8").match(/data:image\/jpeg/g)).toHaveLength(11)
    expect(out.split("\n").filter((line) => line.includes("\u2580")).length).toBeGreaterThan(11 * 5)
    expect(out.match(/\[missing\]/g)).toHaveLength(11)
    const [hit] = (await pageOf("green")).hits
    expect(existsSync(thumbnailPath(at("real"), hit!.hash))).toBe(true)
  } finally {
    if (existsSync(at("away"))) renameSync(at("away"), at("photos"))
    rmSync(at("real", "thumbnails"), { recursive: true, force: true })
  }
})

test("a text with nothing that matches is told so before weaker hits, and gives no paths", async () => {
  const none = ["nothing of this", "--strictness", "10", "--words", "0", ...index()]
  const { code, out } = await run(...none)
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(/^no match: [^\n]*\nrank [^\n]*\n--- weaker matches: 11, 6 of them hidden ---\n/),
  ])
  const eight = (await run(...none, "--limit", "8")).out
  expect(eight).toMatch(/^--- weaker matches: 8 ---$/m)
  expect(eight.trim().split("\n")).toHaveLength(3 + 8)
  expect((await run(...none, "--limit", "8", "--weak", "2")).out).toMatch(
    /^--- weaker matches: 8, 6 of them hidden ---$/m,
  )
  expect(JSON.parse((await run(...none, "--json")).out)).toMatchObject({
    matches: 0,
    hits: Array(11).fill({ verdict: "weak" }),
  })
  expect(await run(...none, "-0")).toMatchObject({
    ...{ code: 0, out: "", err: "no match: nothing rises above what this query finds by chance\n11 weaker left out\n" },
  })
  expect((await run(...none, "--only-matches")).out).toMatch(/^no match: /)
  expect((await run(...none, "--after", "2030")).out).toBe("no pictures: the filters leave none of the index's 11\n")
})

test("filters alone are a list", async () => {
  const { code, out, err } = await run("--name", "*red.png", "--json", ...index())
  expect([code, err]).toEqual([0, ""])
  expect(JSON.parse(out)).toMatchObject({ query: "the newest first", hits: [{ rank: 1, cosine: null, verdict: null }] })
  const table = await run("--name", "*.png", "--limit", "3", ...index())
  expect(table.out).toMatch(/^rank {2} +taken {2}path\n( {3}\d {2}- +\S.*\.png.*\n){3}$/)
  expect(table.err).toMatch(/^more: --cursor /)
  expect((await run("--name", "*red.png", "-0", ...index())).out).toBe(`${at("photos", "red.png")}\0`)
  expect((await run(...index())).err).toContain("the query is empty")
  const sheets = await run("--name", "*red.png", "--sheet", at("list.png"), ...index())
  expect(sheets.code).toBe(0)
})

test("cursors lead through all pages", async () => {
  const query = ["green", "--limit", "4"]
  const whole = await pageOf(...query, "--page-all")
  const found: SearchPage["hits"][number][] = []
  let more: string[] = []
  do {
    const { hits } = await pageOf(...query, ...more)
    found.push(...hits)
    const { err } = await run(...query, ...more, ...index())
    more = /^more: (--cursor) (\S+)$/m.exec(err)?.slice(1) ?? []
  } while (more.length > 0)
  expect(found.map(({ rank }) => rank)).toEqual(Array.from({ length: 11 }, (_, i) => i + 1))
  expect(found.map(({ paths }) => paths[0]).sort()).toEqual(whole.hits.map(({ paths }) => paths[0]).sort())
  expect((await run(...query, "--cursor", "made up", ...index())).err).toMatch(/the cursor is not one that/)
})

test("of two copies the one that is there is named, and the other is said to be missing", async () => {
  renameSync(at("photos", "red.png"), at("away.png"))
  try {
    const query = ["red", "--name", "*red.png", ...index()]
    expect((await run(...query)).out).toContain(`${at("photos", "zz-red.png")}  (1 copy is missing; words: red)\n`)
    const { hits } = JSON.parse((await run(...query, "--json")).out)
    const [red, other] = [at("photos", "red.png"), at("photos", "zz-red.png")]
    expect(hits).toMatchObject([{ paths: [other, red], missing: [red] }])
    expect((await run("--duplicates", "--threshold", "1", "--progress", "none", ...index())).out).toContain(
      `${red}  64x48  best  [missing]\n`,
    )
  } finally {
    renameSync(at("away.png"), at("photos", "red.png"))
  }
})

/** For a process that removes no file before the gate is there: it takes as long as it is looked at. */
function waitingAt(gate: string): NodeJS.ProcessEnv {
  const path = `${gate}.mjs`
  writeFileSync(
    path,
    `import fs from "node:fs"
    import { syncBuiltinESMExports } from "node:module"
    import { setTimeout as sleep } from "node:timers/promises"
    const { rm } = fs.promises
    fs.promises.rm = async (...given) => {
      while (!fs.existsSync(${JSON.stringify(gate)})) await sleep(5)
      await rm(...given)
    }
    syncBuiltinESMExports()`,
  )
  return { ...process.env, NODE_OPTIONS: `--import ${path}` }
}

test("while another process compacts, each answer is whole and right", async () => {
  const path = small.copy()
  const query = await small.textVector("beside a compaction")
  const gone = new Set<number>()
  await using open = await SearchIndex.open(path)
  const nameOf = (n: number) => `IMG_${n}.jpg`
  for (const n of [0, 57, 199]) {
    gone.add(n)
    const writer = await IndexWriter.open(path, "a test")
    const row = writer.store.row("SELECT id FROM files WHERE path LIKE ?", `%/${nameOf(n)}`)!
    writer.removeFile(Number(row.id))
    writer[Symbol.dispose]()
    const expected = brute(query, (each) => !gone.has(each)).map(nameOf)
    const gate = at(`gate-${n}`)
    const child = startProgram(["index", "compact", "--index", path, "--progress", "none"], { env: waitingAt(gate) })
    const ending = ended(child)
    let asked = 0
    do {
      const page = await open.search({ terms: [textTerm("beside a compaction")], words: 0, limit: count })
      expect(page.hits.map(({ paths }) => paths[0]!.split("/").at(-1))).toEqual(expected)
      const { code, out } = await run("beside a compaction", "--words", "0", "--json", "--limit", "5", "--index", path)
      expect([code, JSON.parse(out).hits.map((hit: { paths: string[] }) => hit.paths[0]!.split("/").at(-1))]).toEqual([
        0,
        expected.slice(0, 5),
      ])
      if (++asked === 4) writeFileSync(gate, "")
    } while (child.exitCode === null)
    expect([await ending, asked > 3]).toEqual([0, true])
  }
  expect(existsSync(join(path, "vectors-1.f16"))).toBe(false)
})
