/** Expected values are those of Pillow 12.3, `Image.open(file).convert("RGB")`. */
import sharp from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { UserError } from "../../core/errors.ts"
import { decodeImage } from "./images.ts"
import { pictureSize } from "./picture-size.ts"

type Colour = readonly [number, number, number]

const [red, green, blue, white]: readonly Colour[] = [
  [200, 10, 20],
  [30, 190, 40],
  [50, 60, 180],
  [255, 255, 255],
]
const palette = [red, green, blue, white] as readonly Colour[]
const other: readonly Colour[] = [white!, blue!, green!, red!]
const grays: readonly Colour[] = [0, 1, 2, 3].map((level) => [level, level, level])
const black: Colour = [0, 0, 0]

interface Gif {
  /** Width and height. */
  readonly screen: readonly [number, number]
  readonly palette: readonly Colour[] | null
  readonly local: readonly Colour[] | null
  /** The transparent index of each control block; null in one without. */
  readonly controls: readonly (number | null)[]
  /** Left, top, width and height. */
  readonly frame: readonly [number, number, number, number]
  readonly indices: readonly number[]
  readonly interlaced: boolean
  /** Blocks before the frame, and frames after it. */
  readonly before: Buffer
  readonly after: Buffer
}

const plain: Gif = {
  ...{ screen: [4, 2], palette, local: null, controls: [], frame: [1, 1, 2, 1], indices: [1, 3], interlaced: false },
  ...{ before: Buffer.alloc(0), after: Buffer.alloc(0) },
}

function gif(changes: Partial<Gif> = {}): Buffer {
  const { screen, palette, controls, before, after, ...frame } = { ...plain, ...changes }
  return Buffer.concat([
    ...[Buffer.from("GIF89a"), words(screen), Buffer.of(flagsOf(palette), 2, 0), coloursOf(palette)],
    ...controls.map((index) => Buffer.of(0x21, 0xf9, 4, index === null ? 0 : 1, 0, 0, index ?? 0, 0)),
    ...[before, frameOf(frame), after, Buffer.of(0x3b)],
  ])
}

function frameOf({ frame, local, indices, interlaced }: Pick<Gif, "frame" | "local" | "indices" | "interlaced">) {
  // Codes of 8 bits: 128 clears the table, which has room for 126 more, and 129 ends the pixels.
  const codes = Buffer.of(128, ...indices, 129)
  const flags = flagsOf(local) | (interlaced ? 0x40 : 0)
  return Buffer.concat([
    ...[Buffer.of(0x2c), words(frame), Buffer.of(flags), coloursOf(local), Buffer.of(7, codes.length), codes],
    Buffer.of(0),
  ])
}

const words = (values: readonly number[]) => Buffer.from(Uint16Array.from(values).buffer)
const flagsOf = (colours: readonly Colour[] | null) => (colours ? 0x80 | (Math.log2(colours.length) - 1) : 0)
const coloursOf = (colours: readonly Colour[] | null) => Buffer.from((colours ?? []).flat())

/** Colours around the two of the frame, which the row above has too. */
const around = (colour: Colour, first: Colour = green!, second: Colour = white!) =>
  [...Array<Colour>(5).fill(colour), first, second, colour].flat()

test.each<[string, Partial<Gif>, readonly number[]]>([
  ["no transparency: the first colour, not the background's", {}, around(red!)],
  ["transparency", { controls: [3] }, around(white!)],
  ["transparency that a later block does not set", { controls: [3, null] }, around(white!)],
  ["transparency that a later block sets", { controls: [3, 1] }, around(green!)],
  ["a palette of its own", { local: other }, around(white!, blue!, red!)],
  ["a palette of its own, and transparency", { local: other, controls: [2] }, around(green!, blue!, red!)],
  ["no palette", { palette: null, controls: [2] }, around([2, 2, 2], [1, 1, 1], [3, 3, 3])],
  ["gray levels as a palette", { palette: grays }, around(black, [1, 1, 1], [3, 3, 3])],
  ["gray levels as its own palette, which does not count", { local: grays }, around(red!)],
  ["an index beyond the palette", { indices: [1, 100] }, around(red!, green!, black)],
  ["an index beyond gray levels", { palette: grays, indices: [1, 100] }, around(black, [1, 1, 1], [100, 100, 100])],
  ["stray bytes and a comment before it", { before: Buffer.from("\0\x05!\xfe\x02ab\0", "latin1") }, around(red!)],
])("a frame in its screen: %s", async (_, changes, expected) => {
  const picture = await decodeImage(gif(changes))
  expect([picture.width, picture.height]).toEqual([4, 2])
  expect([...picture.data]).toEqual(expected)
})

test("transparent pixels have their colour in the palette, as libvips alone would not give it", async () => {
  const bytes = gif({ screen: [3, 1], frame: [0, 0, 3, 1], indices: [0, 3, 2], controls: [3] })
  expect([...(await decodeImage(bytes)).data]).toEqual([...red!, ...white!, ...blue!])
  expect([...(await sharp(bytes).removeAlpha().raw().toBuffer())]).toEqual([...red!, ...black, ...blue!])
})

test("a frame beyond its screen enlarges it", async () => {
  const bytes = gif({ screen: [2, 1], frame: [1, 1, 2, 1], controls: [2] })
  expect([...(await decodeImage(bytes)).data]).toEqual([blue!, blue!, blue!, blue!, green!, white!].flat())
  expect(await pictureSize(bytes, "x")).toEqual({ width: 3, height: 2 })
  await expect(decodeImage(bytes, { name: "x", maxPixels: 5 })).rejects.toThrow("x has 3 x 2 pixels")
})

test("rows of an interlaced frame", async () => {
  const bytes = gif({ screen: [1, 5], frame: [0, 0, 1, 5], indices: [0, 1, 2, 3, 0], interlaced: true })
  expect([...(await decodeImage(bytes)).data]).toEqual([red!, white!, blue!, red!, green!].flat())
})

test("of an animation the first frame, and how many there are where it is refused", async () => {
  const bytes = gif({ after: Buffer.concat([frameOf(plain), frameOf({ ...plain, indices: [0, 0] })]) })
  expect([...(await decodeImage(bytes)).data]).toEqual(around(red!))
  const refused = decodeImage(bytes, { name: "x", animated: "refuse" })
  await expect(refused).rejects.toThrow("x is an animation of 3 frames")
  expect((await decodeImage(gif(), { animated: "refuse" })).width).toBe(4)
})

test("a file that is cut off or damaged is refused, or gives a picture", async () => {
  const whole = gif({ local: other, controls: [2] })
  for (let length = 4; length < whole.length - 2; length++) {
    await expect(decodeImage(whole.subarray(0, length), { name: "x" })).rejects.toThrow(/^x is (damaged|not a picture)/)
  }
  const random = new Random(5)
  for (let i = 0; i < 200; i++) {
    const bytes = Buffer.from(whole)
    for (let n = random.int(3); n >= 0; n--) bytes[6 + random.int(bytes.length - 6)] = random.int(256)
    const error = await decodeImage(bytes, { maxPixels: 1e6 }).then(
      () => null,
      (error: unknown) => error,
    )
    if (error && !(error instanceof UserError)) throw error
  }
})
