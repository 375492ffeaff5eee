/** Pairs as the model saw them. */
import { type Html, html } from "../../../report/html.ts"
import { jpegUri } from "../../../report/picture-card.ts"
import type { SeenSample } from "../samples.ts"

export function samplesSection(samples: readonly SeenSample[]): Html {
  if (samples.length === 0) return html``
  const reinforced = samples.some(({ synthetic }) => synthetic !== undefined)
  return html`
<section>
  <h2>What it saw</h2>
  <p>Pictures and captions of a batch, as the towers got them${reinforced ? "; behind the mark the synthetic caption" : ""}.</p>
  <div class="seen">${samples.map(sampleFigure)}</div>
</section>`
}

function sampleFigure({ jpeg, caption, synthetic }: SeenSample): Html {
  return html`
<figure>
  <img src="${jpegUri(jpeg)}" alt="${caption}">
  <figcaption><p>${caption}</p>${synthetic === undefined ? null : html`<p class="synthetic">${synthetic}</p>`}</figcaption>
</figure>`
}
