/** Pictures with captions and answers. */
import { type Html, html } from "./html.ts"

interface PictureCard {
  readonly jpeg: Uint8Array
  /** Text for screen readers. */
  readonly alt: string
  /** Decides the border. */
  readonly isRight: boolean
  readonly text: Html
}

export function pictureCard({ jpeg, alt, isRight, text }: PictureCard): Html {
  return html`
<figure class="card ${isRight ? "right" : "wrong"}">
  <img src="${jpegUri(jpeg)}" alt="${alt}">
  <figcaption>${text}</figcaption>
</figure>`
}

export interface Answer {
  readonly text: string
  /** 0..1 */
  readonly probability: number
  readonly isRight: boolean
}

/** A model's answers with their probabilities as bars. */
export function answerList(answers: readonly Answer[]): Html {
  return html`<ol>${answers.map(answerRow)}</ol>`
}

function answerRow({ text, probability, isRight }: Answer): Html {
  const share = (100 * probability).toFixed(0)
  return html`
<li${isRight ? html` class="true"` : null}>
  <span>${text}</span><b>${share} %</b><i style="width:${share}%"></i>
</li>`
}

export function jpegUri(jpeg: Uint8Array): string {
  return `data:image/jpeg;base64,${Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength).toString("base64")}`
}
