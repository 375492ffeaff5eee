/** The grid of pictures with what the model takes them for. */
import { type Html, html } from "../../report/html.ts"
import { answerList, pictureCard } from "../../report/picture-card.ts"
import type { ReportPicture } from "./report-content.ts"

export function pictureGrid(pictures: readonly ReportPicture[]): Html {
  return html`<div class="pictures">${pictures.map(card)}</div>`
}

export function isRight({ predictions, truth }: ReportPicture): boolean {
  return predictions[0] !== undefined && truth.includes(predictions[0].label)
}

function card(picture: ReportPicture): Html {
  const { jpeg, caption, predictions, truth } = picture
  const right = isRight(picture)
  const answers = predictions.map(({ label, probability }) => {
    const isTrue = truth.includes(label)
    return { text: `${isTrue ? "✓ " : ""}${label}`, probability, isRight: isTrue }
  })
  return pictureCard({
    ...{ jpeg, alt: caption, isRight: right },
    text: html`
    <p class="verdict">${right ? "✓ right" : "✗ wrong"}</p>
    <p class="caption">${caption}</p>
    ${answerList(answers)}
  `,
  })
}
