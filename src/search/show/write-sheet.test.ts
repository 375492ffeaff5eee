import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"
import { hitOf, pageOf } from "../../../test/search-page.ts"
import { UserError } from "../../core/errors.ts"
import { drawSheet } from "./contact-sheet.ts"
import { captionHeight, gap, layOut } from "./sheet-layout.ts"
import { prepareSheet, writeSheet } from "./write-sheet.ts"

const folder = mkdtempSync(join(tmpdir(), "sheet-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** A picture of one colour; wider ones have a camera's note that turns them upright. */
async function picture(name: string, background: string, width = 60, height = 80, orientation = 1): Promise<string> {
  const path = join(folder, name)
  const created = sharp({ create: { width, height, channels: 3, background } })
  await created.withMetadata({ orientation }).toFile(path)
  return path
}

const red = await picture("red.png", "#ff0000")
const green = await picture("green <b>.png", "#00ff00", 800, 600)
const turned = await picture("turned.png", "#0000ff", 80, 60, 6)
const bad = join(folder, "bad.jpg")
writeFileSync(bad, "not a picture")

async function pixelsOf(file: Uint8Array) {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]
  return { ...info, at }
}

function cellAt({ cellWidth, rows }: ReturnType<typeof layOut>, row: number, column: number) {
  const { top, height } = rows[row]!
  return { left: gap + column * (cellWidth + gap), top, bottom: top + height - 1 }
}

/** As `pageOf` says of its pictures. */
const layoutOf = (before: number, weak: number) =>
  layOut(Array(before + weak).fill({ width: 640, height: 480 }), before)

test("pictures are in their cells, as they were seen, and are not enlarged", async () => {
  const { file, unread, notes } = await drawSheet(pageOf([red, green], [turned, bad, join(folder, "gone.jpg")]), "png")
  const layout = layoutOf(2, 3)
  const { at, width, height } = await pixelsOf(file)
  expect([width, height]).toEqual([layout.width, layout.height])
  const [first, second, third] = [cellAt(layout, 0, 0), cellAt(layout, 0, 1), cellAt(layout, 1, 0)]
  expect([at(first.left, first.bottom), at(second.left, second.top), at(third.left, third.bottom)]).toEqual([
    ...[
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ],
  ])
  // 60 x 80 pixels above the caption; the turned one likewise.
  for (const { left, bottom } of [first, third]) {
    expect([at(left - 1, bottom), at(left + 60, bottom), at(left, bottom - 80)]).toEqual(Array(3).fill([255, 255, 255]))
    expect(at(left + 59, bottom - 79)).not.toEqual([255, 255, 255])
  }
  expect(at(cellAt(layout, 1, 1).left + 3, cellAt(layout, 1, 1).bottom - 20)).toEqual([238, 238, 238])
  expect({ unread, notes }).toEqual({ unread: 2, notes: [] })
})

test("captions have ink, and the divider is a line between matches and weaker ones", async () => {
  const { at } = await pixelsOf((await drawSheet(pageOf([red], [green]), "png")).file)
  const layout = layoutOf(1, 1)
  const { left, bottom } = cellAt(layout, 0, 0)
  const inkIn = (x0: number, y0: number, width: number, height: number) =>
    Array.from({ length: width * height }, (_, i) => at(x0 + (i % width), y0 + Math.floor(i / width))).filter(
      ([r, g, b]) => r! + g! + b! < 300,
    ).length
  expect(inkIn(left, bottom + 1, 100, 18)).toBeGreaterThan(50)
  const column = Array.from({ length: 34 }, (_, i) => at(layout.width - 5, layout.dividerTop! + i))
  expect(column.filter(([r, , b]) => r! - b! > 100)).toHaveLength(2)
})

test("rows of a thousand results fit, each hit once and in order", () => {
  for (const [matches, weak] of [
    [1, 0],
    [0, 1],
    [7, 6],
    [600, 400],
    [13, 0],
    [0, 1000],
  ] as const) {
    const { rows, width, height } = layoutOf(matches, weak)
    const places = rows.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i))
    expect(places).toEqual(Array.from({ length: matches + weak }, (_, i) => i))
    expect(rows.some(({ first, count }) => first < matches && first + count > matches)).toBe(false)
    const bottoms = rows.map((row) => row.top + row.height + captionHeight)
    expect(bottoms.at(-1)).toBeLessThanOrEqual(height)
    for (const [i, { top }] of rows.entries()) if (i > 0) expect(top).toBeGreaterThanOrEqual(bottoms[i - 1]!)
    // A thousand take some 90 MB.
    expect(width * height * 3).toBeLessThan(100e6)
  }
})

test("cells are as large as their pictures need", () => {
  const [icon, wide, high] = [
    { width: 32, height: 32 },
    { width: 4000, height: 1000 },
    { width: 1000, height: 4000 },
  ]
  expect(layOut(Array(8).fill(icon), 8)).toMatchObject({
    ...{ cellWidth: 150, rows: [{ height: 32 }, { height: 32 }], dividerTop: null },
  })
  const mixed = layOut([icon, icon, icon, icon, wide, high, icon], 5)
  expect(mixed.cellWidth).toBe(320)
  expect(mixed.rows.map(({ height }) => height)).toEqual([32, 80, 240])
})

test("a page has the pictures inside, leads to the files, and shows names as text", async () => {
  const file = join(folder, "out.html")
  const page = pageOf([green, bad], [red])
  const named = {
    ...page,
    hits: [{ ...page.hits[0]!, paths: [join(folder, "gone.png"), green] }, ...page.hits.slice(1)],
  }
  expect(await writeSheet(named, file, '"<script>" - "people"')).toEqual(["1 picture on the sheet could not be read"])
  const text = readFileSync(file, "utf8")
  expect(text).toContain("<h1>&#34;&#60;script&#62;&#34; - &#34;people&#34;</h1>")
  expect(text).not.toMatch(/<script>|<b>\.png/)
  expect(text).toContain(`href="${pathToFileURL(join(folder, "gone.png")).href}"`)
  expect(text.match(/src="data:image\/jpeg;base64,/g)).toHaveLength(2)
  expect(text.indexOf("not a picture")).toBeLessThan(text.indexOf("<h2>Weaker matches</h2>"))
  expect(text.indexOf("red.png")).toBeGreaterThan(text.indexOf("<h2>Weaker matches</h2>"))
  const [first] = text.match(/(?<=base64,)[^"]+/)!
  expect(await sharp(Buffer.from(first, "base64")).metadata()).toMatchObject({
    format: "jpeg",
    width: 320,
    height: 240,
  })
})

test("the name says the format, and what cannot be written is refused before any work", async () => {
  for (const [name, format] of [
    ["a.PNG", "png"],
    ["b.jpg", "jpeg"],
    ["c.webp", "webp"],
  ] as const) {
    const file = join(folder, name)
    await prepareSheet(file)
    expect(await writeSheet(pageOf([red]), file, "red")).toEqual([])
    expect((await sharp(file).metadata()).format).toBe(format)
  }
  await expect(prepareSheet(join(folder, "sheet.gif"))).rejects.toThrow("is not the name of a sheet")
  mkdirSync(join(folder, "taken.png"))
  await expect(prepareSheet(join(folder, "taken.png"))).rejects.toThrow(UserError)
  await expect(drawSheet(pageOf([]), "png")).rejects.toThrow("no results")
  const many = { ...pageOf([]), hits: Array.from({ length: 1000 }, (_, i) => hitOf(red, i)), matches: 1000 }
  await expect(drawSheet(many, "webp")).rejects.toThrow("too large for WEBP")
})

test("without fonts a sheet says that it has no texts, and has the divider all the same", async () => {
  const config = join(folder, "fonts.conf")
  writeFileSync(config, "<fontconfig></fontconfig>")
  const module = fileURLToPath(new URL("../../../dist/src/search/show/contact-sheet.js", import.meta.url))
  const program = `
    const { drawSheet } = await import(${JSON.stringify(pathToFileURL(module).href)})
    const { file, notes } = await drawSheet(${JSON.stringify(pageOf([red], [green]))}, "png")
    console.log(JSON.stringify({ notes, file: Buffer.from(file).toString("base64") }))`
  const env = { ...process.env, FONTCONFIG_FILE: config }
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { env, maxBuffer: 1e8 })
  const { notes, file } = JSON.parse((await run).stdout)
  expect(notes).toEqual([expect.stringContaining("this machine has no fonts")])
  const layout = layoutOf(1, 1)
  const { at } = await pixelsOf(Buffer.from(file, "base64"))
  expect(at(layout.width - 5, layout.dividerTop! + 17)).toEqual([120, 120, 120])
})
