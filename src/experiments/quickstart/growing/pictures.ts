/** A few of the students' pictures with their captions: those of the data set, and the captioner's as soon as there are some. */
import { existsSync } from "node:fs"
import { readSamples } from "../../../data/reinforced/read.ts"
import { sceneOf } from "../../../data/scenes/record.ts"
import { type Html, html } from "../../../report/html.ts"
import { jpegUri } from "../../../report/picture-card.ts"

/** Few and small, about 4 kB each, because the page is written often. */
const shown = 8

export interface CaptionedPicture {
  readonly jpeg: Uint8Array
  readonly careless: string
  readonly precise: string
  /** What the captioner wrote; empty before. */
  readonly written: readonly string[]
}

/** Reads each shard once: they appear whole. */
export class GrowingPictures {
  private pictures: readonly CaptionedPicture[] = []
  private isCaptioned = false

  /**
   * @param rendered the first shard of the students' pictures
   * @param captioned the same after the captioner
   */
  constructor(
    private readonly rendered: string,
    private readonly captioned: string,
  ) {}

  async all(): Promise<readonly CaptionedPicture[]> {
    if (this.isCaptioned) return this.pictures
    this.isCaptioned = existsSync(this.captioned)
    if (this.isCaptioned) this.pictures = await firstOf(this.captioned)
    else if (this.pictures.length === 0 && existsSync(this.rendered)) this.pictures = await firstOf(this.rendered)
    return this.pictures
  }
}

async function firstOf(shard: string): Promise<CaptionedPicture[]> {
  const pictures: CaptionedPicture[] = []
  for await (const { key, image, fields, synTexts } of readSamples(shard, () => {})) {
    const { caption, web_caption } = sceneOf(fields, `${shard}: ${key}`)
    pictures.push({
      jpeg: image!.bytes,
      careless: web_caption,
      precise: caption,
      written: [...synTexts.values()].flat(),
    })
    if (pictures.length === shown) break
  }
  return pictures
}

export function picturesSection(pictures: readonly CaptionedPicture[]): Html | null {
  if (pictures.length === 0) return null
  const hasWritten = pictures.some(({ written }) => written.length > 0)
  return html`
<section>
  <h2>What the students will see</h2>
  <p>Each picture comes with a caption as careless as the web's. The precise one beside it is for comparison: only the teachers and the captioner learn from such captions, of other pictures.${hasWritten ? " The captioner had seen neither." : ""}</p>
  <div class="pictures">${pictures.map(card)}</div>
</section>`
}

function card({ jpeg, careless, precise, written }: CaptionedPicture): Html {
  const row = (term: string, text: string) => html`<dt>${term}</dt><dd>${text}</dd>`
  return html`
<figure class="card">
  <img src="${jpegUri(jpeg)}" alt="${precise}">
  <figcaption><dl class="captions">${row("careless", careless)}${row("precise", precise)}${written.map((text) => row("captioner", text))}</dl></figcaption>
</figure>`
}
