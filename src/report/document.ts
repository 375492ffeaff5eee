/** The frame of a report: one HTML file that loads nothing. */
import { Html, html } from "./html.ts"
import { style } from "./style.ts"

/**
 * @param body the content of `<main>`
 * @param ownStyle CSS of this page alone, which follows the style of all reports
 * @param refreshSeconds seconds after which a browser loads the page again; null: it does not
 */
export function htmlDocument(title: string, body: Html, ownStyle = "", refreshSeconds: number | null = null): string {
  const refresh = refreshSeconds === null ? null : html`<meta http-equiv="refresh" content="${refreshSeconds}">\n`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
${refresh}<title>${title}</title>
<style>${new Html(style + ownStyle)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.text
}
