import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterAll, expect, test } from "vitest"
import { pageOf } from "../../../test/search-page.ts"
import { Random } from "../../core/arrays/random.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { tableLines } from "./result-lines.ts"
import { blockLines } from "./terminal/blocks.ts"
import { chooseProtocol, type PictureMode } from "./terminal/choose-protocol.ts"
import { itermSequence, kittySequences, throughTmux } from "./terminal/inline-files.ts"
import { paletteColour, toPalette } from "./terminal/palette.ts"
import { sixelSequence } from "./terminal/sixel.ts"
import { terminalPicture, writeWithPictures } from "./terminal-pictures.ts"

const folder = mkdtempSync(join(tmpdir(), "terminal-"))
afterAll(() => rmSync(folder, { recursive: true }))

const esc = "\x1b"

function noise(width: number, height: number, seed: number): Image8 {
  const random = new Random(seed)
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => random.int(256)),
  )
}

/** Smooth colours, as pictures mostly have. */
function slope(width: number, height: number): Image8 {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++)
    data.set([(255 * (i % width)) / width, (255 * Math.floor(i / width)) / height, 128], i * 3)
  return image8(width, height, data)
}

// ------------------------------------------------------------------------------------------------------ choice

const plain = { LANG: "en_US.UTF-8", TERM: "xterm-256color" }
const choose = (env: Record<string, string>, mode: PictureMode = "auto", isTTY = true) =>
  chooseProtocol(mode, { env, isTTY, platform: "linux" })

test.each<[string, Record<string, string>, unknown]>([
  ["kitty", { ...plain, KITTY_WINDOW_ID: "1" }, { kind: "kitty", isWrapped: false }],
  ["ghostty", { ...plain, TERM: "xterm-ghostty" }, { kind: "kitty", isWrapped: false }],
  ["konsole", { ...plain, KONSOLE_VERSION: "230804" }, { kind: "kitty", isWrapped: false }],
  ["an old konsole", { ...plain, KONSOLE_VERSION: "200401" }, { kind: "blocks", colours: 256 }],
  ["iTerm2", { ...plain, TERM_PROGRAM: "iTerm.app" }, { kind: "iterm", isWrapped: false }],
  ["WezTerm", { ...plain, TERM_PROGRAM: "WezTerm" }, { kind: "iterm", isWrapped: false }],
  ["foot", { ...plain, TERM: "foot" }, { kind: "sixel" }],
  ["true colours", { ...plain, COLORTERM: "truecolor" }, { kind: "blocks", colours: "all" }],
  ["256 colours", plain, { kind: "blocks", colours: 256 }],
  ["tmux in kitty", { ...plain, KITTY_WINDOW_ID: "1", TMUX: "/tmp/x" }, { kind: "blocks", colours: 256 }],
  ["screen", { ...plain, TERM: "screen-256color", TERM_PROGRAM: "iTerm.app" }, { kind: "blocks", colours: 256 }],
  ["16 colours", { ...plain, TERM: "xterm" }, null],
  ["no colours wanted", { ...plain, KITTY_WINDOW_ID: "1", NO_COLOR: "1" }, null],
  ["a dumb terminal", { ...plain, TERM: "dumb", COLORTERM: "truecolor" }, null],
  ["letters of one byte", { TERM: "xterm-256color", LANG: "C" }, null],
])("by itself: %s", (_, env, expected) => {
  expect(choose(env)).toEqual(expected)
})

test("no terminal, no pictures, unless they are asked for by name", () => {
  expect(choose({ ...plain, KITTY_WINDOW_ID: "1" }, "auto", false)).toBeNull()
  expect(choose({}, "none")).toBeNull()
  expect(choose({}, "sixel", false)).toEqual({ kind: "sixel" })
  expect(choose({}, "blocks", false)).toEqual({ kind: "blocks", colours: 256 })
  expect(choose({ TMUX: "/tmp/x" }, "kitty")).toEqual({ kind: "kitty", isWrapped: true })
})

// ------------------------------------------------------------------------------------------------------ decoders

/** What a terminal draws; -1 where nothing was drawn. Throws on what is not of the format. */
function decodeSixel(text: string) {
  const [, width, height, body] = new RegExp(`^${esc}P0;1;0q"1;1;(\\d+);(\\d+)([^${esc}]*)${esc}\\\\$`).exec(text)!
  const [w, h] = [Number(width), Number(height)]
  const colours = new Map<number, number[]>()
  const pixels = new Float32Array(w * h * 3).fill(-1)
  let [x, top, colour] = [0, 0, -1]
  const pieces = body!.match(/#\d+(;2;\d+;\d+;\d+)?|!\d+[?-~]|[?-~]|\$|-|./g)!
  for (const piece of pieces) {
    const [, number, , r, g, b] = /^#(\d+)(;2;(\d+);(\d+);(\d+))?$/.exec(piece) ?? []
    if (r !== undefined)
      colours.set(
        Number(number),
        [r, g, b].map((part) => (Number(part) * 255) / 100),
      )
    else if (number !== undefined) colour = Number(number)
    else if (piece === "$") x = 0
    else if (piece === "-") [x, top] = [0, top + 6]
    else {
      const [, count = 1, character] = /^(?:!(\d+))?([?-~])$/.exec(piece)!
      for (let n = 0; n < Number(count); n++, x++)
        for (let bit = 0; bit < 6; bit++)
          if ((character!.charCodeAt(0) - 63) & (1 << bit)) {
            if (x >= w || top + bit >= h) throw new Error("outside")
            pixels.set(colours.get(colour)!, ((top + bit) * w + x) * 3)
          }
    }
  }
  return { width: w, height: h, pixels }
}

/** Colours above and below in each cell, from lines of half blocks: 24 bits, or xterm's numbers. */
function decodeBlocks(lines: readonly string[]) {
  return lines.map((line) => {
    const cells: (string | undefined)[][] = []
    let above: string | undefined
    let below: string | undefined
    for (const [, codes, block] of line.matchAll(new RegExp(`${esc}\\[([\\d;]*)m|(▀)`, "g"))) {
      if (block !== undefined) cells.push([above, below])
      else if (codes === "0") [above, below] = [undefined, undefined]
      else
        for (const [, ground, colour] of codes!.matchAll(/(?:^|;)([34]8|49)(?:;(2;\d+;\d+;\d+|5;\d+))?/g)) {
          if (ground === "38") above = colour
          else below = colour
        }
    }
    expect(line.replaceAll(new RegExp(`${esc}\\[[\\d;]*m|▀`, "g"), "")).toBe("")
    expect([above, below]).toEqual([undefined, undefined])
    return cells
  })
}

// ------------------------------------------------------------------------------------------------------ encoders

test("sixels draw every pixel once, in the palette's colour", () => {
  for (const image of [noise(37, 20, 1), slope(64, 48), image8(1, 1, new Uint8Array([255, 0, 0])), noise(3, 7, 2)]) {
    const { width, height, pixels } = decodeSixel(sixelSequence(image))
    expect([width, height]).toEqual([image.width, image.height])
    const expected = Array.from(toPalette(image)).flatMap((index) => paletteColour(index).map((share) => share * 255))
    // Sixels have percent: half a percent of 255 is 1.28.
    expect(Math.max(...expected.map((value, i) => Math.abs(value - pixels[i]!)))).toBeLessThan(1.28)
  }
})

test("the palette keeps the mean colour of areas", () => {
  const image = slope(64, 48)
  const shown = Array.from(toPalette(image)).flatMap((index) => paletteColour(index).map((share) => share * 255))
  for (let y = 0; y < 48; y += 8)
    for (let x = 0; x < 64; x += 8) {
      const mean = (values: ArrayLike<number>, c: number) => {
        let sum = 0
        for (let i = 0; i < 64; i++) sum += values[((y + (i >> 3)) * 64 + x + (i % 8)) * 3 + c]!
        return sum / 64
      }
      // What one row and column of an area may owe to its neighbours: some 16 of 64 pixels by half a level of 51.
      for (let c = 0; c < 3; c++) expect(Math.abs(mean(image.data, c) - mean(shown, c))).toBeLessThan(8)
    }
})

test("half blocks with 24 bits are the pixels", () => {
  for (const image of [noise(5, 4, 3), noise(4, 5, 4), image8(3, 2, new Uint8Array(18).fill(7))]) {
    const { width, height, data } = image
    const at = (x: number, y: number) =>
      y < height ? `2;${[...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)].join(";")}` : undefined
    const expected = Array.from({ length: Math.ceil(height / 2) }, (_, row) =>
      Array.from({ length: width }, (_, x) => [at(x, 2 * row), at(x, 2 * row + 1)]),
    )
    expect(decodeBlocks(blockLines(image, "all"))).toEqual(expected)
  }
})

/** xterm's colours, by its own rule. */
function xtermColour(code: string): number[] {
  const number = Number(code.slice(2))
  if (number >= 232) return Array(3).fill(8 + 10 * (number - 232))
  const level = (place: number) => (place === 0 ? 0 : 55 + 40 * place)
  return [Math.floor((number - 16) / 36), Math.floor((number - 16) / 6) % 6, (number - 16) % 6].map(level)
}

test("half blocks with 256 colours have the nearest of them", () => {
  const image = noise(40, 2, 5)
  const [cells] = decodeBlocks(blockLines(image, 256))
  const all = Array.from({ length: 240 }, (_, i) => xtermColour(`5;${i + 16}`))
  const off = (a: readonly number[], b: ArrayLike<number>) => a.reduce((sum, v, c) => sum + (v - b[c]!) ** 2, 0)
  for (const [x, pair] of cells!.entries())
    for (const [y, code] of pair.entries()) {
      const pixel = image.data.subarray((y * 40 + x) * 3, (y * 40 + x) * 3 + 3)
      expect(off(xtermColour(code!), pixel)).toBe(Math.min(...all.map((colour) => off(colour, pixel))))
    }
})

test("kitty gets the file in pieces of 4,096, and is asked for no answer", () => {
  const png = Uint8Array.from({ length: 10_000 }, (_, i) => i % 251)
  const sequences = kittySequences(png, { columns: 20, rows: 8 })
  const parts = sequences.map((text) => new RegExp(`^${esc}_G([^;]*);([A-Za-z0-9+/=]*)${esc}\\\\$`).exec(text)!)
  expect(parts.map(([, keys]) => keys)).toEqual(["a=T,f=100,q=2,c=20,r=8,m=1", "m=1", "m=1", "m=0"])
  for (const [, , data] of parts.slice(0, -1)) expect(data).toHaveLength(4096)
  expect(Buffer.from(parts.map(([, , data]) => data).join(""), "base64")).toEqual(Buffer.from(png))
})

test("iTerm2 gets the file with its size; tmux gets sequences whose escapes are doubled", () => {
  const file = new Uint8Array([1, 2, 3, 250])
  const sequence = itermSequence(file, { columns: 9, rows: 4 })
  expect(sequence).toBe("\x1b]1337;File=inline=1;size=4;width=9;height=4;preserveAspectRatio=1:AQID+g==\x07")
  expect(throughTmux(`${esc}_Gx${esc}\\`)).toBe(`${esc}Ptmux;${esc}${esc}_Gx${esc}${esc}\\${esc}\\`)
})

// ------------------------------------------------------------------------------------------------------ files

test("a file in every protocol, within its cells, and nothing of its name", async () => {
  const path = join(folder, `evil${esc}]0;x\x07.png`)
  await sharp({ create: { width: 400, height: 200, channels: 3, background: "#ff0000" } })
    .png()
    .toFile(path)
  const size = { columns: 20, rows: 8 }
  const picture = (kind: "kitty" | "iterm", isWrapped = false) => terminalPicture(path, { kind, isWrapped }, size)
  // 200 x 100 pixels of cells of 10 x 20.
  expect(await picture("kitty")).toMatch(new RegExp(`^${esc}_Ga=T,f=100,q=2,c=20,r=5,m=0;[^${esc}]*${esc}\\\\\n$`))
  expect(await picture("iterm")).toMatch(new RegExp(`;width=20;height=5;[^${esc}]*\x07\n$`))
  expect((await picture("kitty", true)).startsWith(`${esc}Ptmux;${esc}${esc}_G`)).toBe(true)
  const sixel = decodeSixel((await terminalPicture(path, { kind: "sixel" }, size)).trimEnd())
  expect([sixel.width, sixel.height, ...sixel.pixels.slice(0, 3)]).toEqual([200, 100, 255, 0, 0])
  const blocks = await terminalPicture(path, { kind: "blocks", colours: "all" }, size)
  expect(decodeBlocks(blocks.trimEnd().split("\n"))).toEqual(
    Array.from({ length: 5 }, () => Array.from({ length: 20 }, () => ["2;255;0;0", "2;255;0;0"])),
  )
})

test("a file that is not a picture is refused with its reason", async () => {
  const path = join(folder, "bad.png")
  writeFileSync(path, "text")
  await expect(terminalPicture(path, { kind: "sixel" })).rejects.toThrow("bad.png is not a picture")
  await expect(terminalPicture(join(folder, "gone.png"), { kind: "sixel" })).rejects.toThrow("gone.png")
})

test("a table with pictures: each before its line, and none for what cannot be read", async () => {
  const path = join(folder, "blue.png")
  await sharp({ create: { width: 2, height: 2, channels: 3, background: "#0000ff" } })
    .png()
    .toFile(path)
  const written: string[] = []
  const write = (kind: string) => (text: string) => written.push(`${kind} ${text}`)
  const lines = tableLines(pageOf([path], [join(folder, "gone.png")]), { folder })
  const protocol = { kind: "blocks", colours: "all" } as const
  await writeWithPictures(lines, protocol, { text: write("text"), picture: write("picture") })
  expect(written).toEqual([
    "text rank  cosine      z         path\n",
    `picture ${esc}[38;2;0;0;255;48;2;0;0;255m▀▀${esc}[0m\n`,
    "text    1   0.313    6.3  match  blue.png\n",
    "text --- weaker matches: 1 ---\n",
    "text    2   0.187    1.5  weak   gone.png  (its picture cannot be read)\n",
  ])
})
