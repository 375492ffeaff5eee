/**
 * A picture for the eye: a row for each sample, with the original and the places of its crops, the stored views made
 * again, and the captions. A frame of a view has the colour of its crop.
 */
import sharp, { type OverlayOptions } from "sharp"
import type { Image8 } from "../../../core/image/pixels.ts"
import { applyAugmentation } from "../../../data/augment/apply.ts"
import { opNames, type StoredAugmentation } from "../../../data/augment/augmentation.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { decodePicture } from "../../stages/picture.ts"
import type { ContactSheetOptions } from "../tool-options.ts"

type Sheet = Required<ContactSheetOptions>

const gap = 10
const lineHeight = 14
const textWidth = 460
/** About as many as fit: the font is whichever sans-serif the system has. */
const charactersPerLine = 70
const footer = 2 * lineHeight
const colours = ["#d33", "#27c", "#293", "#b5a", "#c70", "#0aa", "#777", "#860"] as const

/** PNG of the first samples that have a picture, `rows` of them. Throws UserError on a picture that cannot be read. */
export async function drawContactSheet(samples: readonly ReinforcedSample[], options: Sheet): Promise<Uint8Array> {
  const shown = samples.filter(({ image }) => image).slice(0, options.rows)
  const columns = 1 + Math.max(0, ...shown.map((sample) => viewsOf(sample, options).length))
  const sheet = { width: gap + columns * (options.size + gap) + textWidth, rowHeight: options.size + footer + gap }
  const overlays: OverlayOptions[] = []
  for (const [row, sample] of shown.entries()) {
    overlays.push(...(await rowOf(sample, gap + row * sheet.rowHeight, gap + columns * (options.size + gap), options)))
  }
  const height = gap + Math.max(1, shown.length) * sheet.rowHeight
  const canvas = sharp({ create: { width: sheet.width, height, channels: 3, background: "white" } })
  return canvas.composite(overlays).png().toBuffer()
}

function viewsOf({ paramAug }: ReinforcedSample, { views }: Sheet): readonly StoredAugmentation[] {
  return (paramAug ?? []).slice(0, views)
}

async function rowOf(
  sample: ReinforcedSample,
  top: number,
  textLeft: number,
  options: Sheet,
): Promise<OverlayOptions[]> {
  const { size } = options
  const image = await decodePicture(sample, { minImageSize: 1 })
  const views = viewsOf(sample, options)
  const pictures = views.map((view, i) => ({
    input: Buffer.from(applyAugmentation(image, view, size, "bicubic", "its picture").data),
    raw: { width: size, height: size, channels: 3 as const },
    ...{ top, left: columnLeft(i + 1, size) },
  }))
  const frames = views.map((view, i) => ({
    input: viewFrame(view, i, size),
    top: top - 2,
    left: columnLeft(i + 1, size) - 2,
  }))
  return [
    { ...(await original(image, views, size)), top, left: gap },
    ...pictures,
    ...frames,
    { input: captionText(sample, image, size + footer), top, left: textLeft },
  ]
}

function columnLeft(column: number, size: number): number {
  return gap + column * (size + gap)
}

/** The whole picture, at most `size` wide and high, with the crops of the views on it. */
async function original({ width, height, data }: Image8, views: readonly StoredAugmentation[], size: number) {
  const scale = size / Math.max(width, height)
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * scale))) as [number, number]
  const boxes = views.map(([[top, left, boxHeight, boxWidth]], i) => {
    const [x, y, across, down] = [left, top, boxWidth, boxHeight].map((value) => (value * scale).toFixed(1))
    return `<rect x="${x}" y="${y}" width="${across}" height="${down}" fill="none" stroke="${colourOf(i)}" stroke-width="1.5"/>`
  })
  const resized = sharp(data, { raw: { width, height, channels: 3 } }).resize(w, h, { fit: "fill" })
  return {
    input: await resized
      .composite([{ input: svg(w, h, boxes.join("")) }])
      .png()
      .toBuffer(),
  }
}

/** Around a view, with its operations below. */
function viewFrame([, ops]: StoredAugmentation, index: number, size: number): Buffer {
  const border = `<rect x="1" y="1" width="${size + 2}" height="${size + 2}" fill="none" stroke="${colourOf(index)}" stroke-width="2"/>`
  const lines = (ops ?? []).map(([op, magnitude]) => `${opNames[op]} ${Number(magnitude.toFixed(2))}`)
  return svg(size + 4, size + 4 + footer, border + textLines(lines, 2, size + 4 + 11, 10))
}

function captionText(sample: ReinforcedSample, { width, height }: Image8, boxHeight: number): Buffer {
  const captions = [
    ...sample.texts,
    ...[...sample.synTexts].flatMap(([key, texts]) => texts.map((text) => `${key}: ${text}`)),
  ]
  const lines = [`${sample.key}  ${width} x ${height}`, ...captions].flatMap((text) =>
    wrapText(text, charactersPerLine),
  )
  const room = Math.floor(boxHeight / lineHeight)
  const shown = lines.length > room ? [...lines.slice(0, room - 1), `... ${lines.length - room + 1} lines more`] : lines
  return svg(textWidth, boxHeight, textLines(shown, 4, 11, 11))
}

function textLines(lines: readonly string[], x: number, y: number, fontSize: number): string {
  const spans = lines.map((line, i) => `<text x="${x}" y="${y + i * lineHeight}">${escaped(line)}</text>`)
  return `<g font-family="DejaVu Sans, sans-serif" font-size="${fontSize}" fill="#222">${spans.join("")}</g>`
}

function svg(width: number, height: number, content: string): Buffer {
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${content}</svg>`)
}

function colourOf(index: number): string {
  return colours[index % colours.length]!
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
}

/** Lines of at most `width` columns, broken between words where there are any; wide characters take two columns. */
export function wrapText(text: string, width: number): string[] {
  const words = text
    .replaceAll(/[\p{C}\p{Z}\s]+/gu, " ")
    .trim()
    .split(" ")
  const lines: string[] = []
  let line = ""
  for (const word of words.flatMap((word) => pieces(word, width))) {
    const longer = line === "" ? word : `${line} ${word}`
    if (columnsOf(longer) <= width) line = longer
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line]
}

/** A word that is longer than a line, in parts. */
function pieces(word: string, width: number): string[] {
  const parts: string[] = [""]
  for (const character of word) {
    if (columnsOf(parts.at(-1)! + character) > width) parts.push("")
    parts[parts.length - 1] += character
  }
  return parts
}

function columnsOf(text: string): number {
  let columns = 0
  for (const character of text) columns += wide.test(character) ? 2 : 1
  return columns
}

const wide = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u
