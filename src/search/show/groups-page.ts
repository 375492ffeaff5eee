/** Groups of duplicates as one HTML file that loads nothing: the best of each group first, the others beside it. */
import { pathToFileURL } from "node:url"
import { counted } from "../../core/counted.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { htmlDocument } from "../../report/document.ts"
import { Html, html } from "../../report/html.ts"
import type { Duplicates } from "../query/duplicates/find-duplicates.ts"
import type { DuplicateGroup, DuplicatePicture } from "../query/duplicates/groups.ts"
import { shortName } from "./hit-files.ts"
import { sheetStyle, smallPicture } from "./sheet-page.ts"

const atOnce = 4
const cut = "<!-- groups -->"
const style = `${sheetStyle}
.sheet .best { outline: 3px solid var(--right); outline-offset: 4px; border-radius: 4px; }
`

/**
 * The text of the page, piece by piece, so that memory does not grow with its pictures.
 *
 * @param folder of the index, whose kept small pictures are shown
 * @param onUnread is called for each picture that cannot be read
 */
export async function* groupsPage(
  { groups, threshold, searched, notes }: Duplicates,
  folder: string,
  onUnread: () => void,
): AsyncGenerator<string> {
  const title = `${counted(groups.length, "group")} of duplicates`
  const head = html`<h1>${title}</h1>
<p class="eyebrow">${counted(searched, "picture")}, cosine from ${threshold} on</p>${notes.map((note) => html`<p>${note}</p>`)}`
  const [before, after] = htmlDocument(title, html`${head}${new Html(cut)}`, style).split(cut)
  yield before!
  const figures = (group: DuplicateGroup) => groupFigures(group, folder, onUnread)
  let place = 0
  for await (const { text } of mapOrdered(groups, atOnce, figures))
    yield `<h3>Group ${++place}</h3>\n<div class="sheet">${text}</div>\n`
  yield after!
}

async function groupFigures({ best, others }: DuplicateGroup, folder: string, onUnread: () => void): Promise<Html> {
  const figures: Html[] = []
  for (const picture of [best, ...others]) {
    const small = await smallPicture({ ...picture, caption: null }, folder, onUnread)
    figures.push(figureOf(picture, small, picture === best))
  }
  return html`${figures}`
}

function figureOf({ paths, cosine, width, height }: DuplicatePicture, small: Html, isBest: boolean): Html {
  const path = paths[0]!
  const same = paths.slice(1).map((copy) => html`<br><small>the same bytes: ${copy}</small>`)
  return html`
<figure${isBest ? html` class="best"` : null}><a href="${pathToFileURL(path).href}" title="${path}">${small}</a>
<figcaption><b>${isBest ? "best" : cosine.toFixed(3)}</b> ${width}x${height}<br>${shortName(path)}${same}</figcaption></figure>`
}
