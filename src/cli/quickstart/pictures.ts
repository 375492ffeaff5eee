/** The grid of pictures with what the model takes them for. */
import { type Html, html } from "../../report/html.ts"
import type { ReportPicture } from "./report.ts"

export function pictureGrid(pictures: readonly ReportPicture[]): Html {
  return html`<div class="pictures">${pictures.map(pictureCard)}</div>`
}

export function isRight({ predictions, truth }: ReportPicture): boolean {
  return predictions[0] !== undefined && truth.includes(predictions[0].label)
}

function pictureCard(picture: ReportPicture): Html {
  const right = isRight(picture)
  return html`
<figure class="card ${right ? "right" : "wrong"}">
  <img src="${dataUri(picture.jpeg)}" alt="${picture.caption}">
  <figcaption>
    <p class="verdict">${right ? "✓ right" : "✗ wrong"}</p>
    <p class="caption">${picture.caption}</p>
    <ol>${picture.predictions.map((prediction) => predictionRow(prediction, picture.truth))}</ol>
  </figcaption>
</figure>`
}

function predictionRow({ label, probability }: ReportPicture["predictions"][number], truth: readonly string[]): Html {
  const percent = (100 * probability).toFixed(0)
  return html`
<li${truth.includes(label) ? html` class="true"` : null}>
  <span>${truth.includes(label) ? "✓ " : ""}${label}</span><b>${percent} %</b><i style="width:${percent}%"></i>
</li>`
}

function dataUri(jpeg: Uint8Array): string {
  return `data:image/jpeg;base64,${Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength).toString("base64")}`
}
