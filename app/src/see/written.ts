/** The words of See, which outlive a reload. */
import { effect, signal } from "@preact/signals"
import { defaultTemplates, presets } from "./presets.ts"

const key = "mobileclip page: words"

function read(): { labels?: string; templates?: string } {
  try {
    return Object(JSON.parse(localStorage.getItem(key) ?? "null"))
  } catch {
    return {}
  }
}

const { labels, templates } = read()

export const written = {
  labels: signal(labels ?? presets[0]!.labels.join("\n")),
  templates: signal(templates ?? defaultTemplates.join("\n")),
}

effect(() => {
  const words = JSON.stringify({ labels: written.labels.value, templates: written.templates.value })
  try {
    localStorage.setItem(key, words)
  } catch {
    // Full, or forbidden: they last as long as the page.
  }
})
