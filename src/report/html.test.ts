import { expect, test } from "vitest"
import { escapeHtml, html } from "./html.ts"

test("templates escape text and keep HTML", () => {
  expect(html`<b>${"<&"}</b>${[html`<i>`, html`</i>`]}${null}${7}`.text).toBe("<b>&#60;&#38;</b><i></i>7")
  expect(escapeHtml(`"'>`)).toBe("&#34;&#39;&#62;")
  expect(escapeHtml("a\n\u202eb\x1b\0")).toBe("a\n\\u202eb\\x1b\\x00")
})
