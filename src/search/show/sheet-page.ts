/** A page of results as one HTML file that loads nothing: its pictures are inside, and each leads to its file. */
import { basename } from "node:path"
import { pathToFileURL } from "node:url"
import { counted } from "../../core/counted.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { thumbnail } from "../../host/image/thumbnail.ts"
import { htmlDocument } from "../../report/document.ts"
import { Html, html } from "../../report/html.ts"
import { decimal } from "../../report/numbers.ts"
import { jpegUri } from "../../report/picture-card.ts"
import { dividerPlace, type SearchHit, type SearchPage } from "../query/search-page.ts"
import { firstReadable, shortName } from "./hit-files.ts"

/** Side of thumbnails, in pixels. */
const side = 320
const atOnce = 4
const cut = "<!-- figures -->"

const style = `
main { max-width: 1500px; }
h2 { margin-top: 40px; padding-top: 12px; border-top: 3px solid var(--wrong); color: var(--wrong); }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 20px 14px; margin-top: 20px; }
.sheet a { color: inherit; text-decoration: none; }
.sheet img, .sheet .absent { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--panel); border-radius: 4px; }
.sheet .absent { display: grid; place-items: center; color: var(--soft); }
.sheet figcaption { margin-top: 4px; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.sheet small { color: var(--soft); }
`

/**
 * The text of the page, piece by piece, so that memory does not grow with its pictures.
 *
 * @param title the query
 * @param onUnread is called for each picture that cannot be read
 */
export async function* sheetPage(page: SearchPage, title: string, onUnread: () => void): AsyncGenerator<string> {
  const { hits } = page
  const head = html`<h1>${title}</h1><p class="eyebrow">${summary(page)}</p>`
  const [before, after] = htmlDocument(title, html`${head}<div class="sheet">${new Html(cut)}</div>`, style).split(cut)
  yield before!
  let place = 0
  for await (const figure of mapOrdered(hits, atOnce, (hit) => figureOf(hit, onUnread))) {
    if (place++ === dividerPlace(hits)) yield `</div>\n<h2>Weaker matches</h2>\n<div class="sheet">`
    yield figure.text
  }
  yield after!
}

/** "3 matches among 500 pictures, 17 weaker", "20 pictures of 500" */
function summary({ hits, matches, searched }: SearchPage): string {
  if (matches === null) return `${hits.length.toLocaleString("en")} of ${counted(searched, "picture")}`
  const found = matches === 0 ? "No match" : counted(matches, "match", "matches")
  const weak = hits.length - matches
  return `${found} among ${counted(searched, "picture")}${weak > 0 ? `, ${weak.toLocaleString("en")} weaker` : ""}`
}

async function figureOf(hit: SearchHit, onUnread: () => void): Promise<Html> {
  const { rank, cosine, z, paths, taken } = hit
  const path = paths[0]!
  const name = shortName(path)
  const copies = paths.length > 1 ? html`<br><small>and ${paths.slice(1).join(", ")}</small>` : null
  return html`
<figure><a href="${pathToFileURL(path).href}" title="${path}">${await pictureOf(hit, onUnread)}</a>
<figcaption><b>${rank}</b> ${decimal(cosine, 3)}${z === null ? "" : `, z ${decimal(z, 1)}`}<br>${name}${taken === null ? null : html`<br><small>${taken.replace("T", " ")}</small>`}${copies}</figcaption></figure>`
}

async function pictureOf({ paths, caption }: SearchHit, onUnread: () => void): Promise<Html> {
  const found = await firstReadable(paths, (path) => thumbnail(path, { side }))
  if ("value" in found)
    return html`<img loading="lazy" src="${jpegUri(found.value)}" alt="${caption ?? basename(found.path)}">`
  onUnread()
  return html`<span class="absent">${found.reason}</span>`
}
