/** The words of See: those that fit the model until the user chooses or writes some, which outlive a reload. */
import { computed, signal } from "@preact/signals"
import { ready } from "../model/state.ts"
import { type Preset, presetFor } from "./presets.ts"

const key = "mobileclip page: words"

interface Words {
  /** As they are in the field. */
  readonly labels: string
  readonly templates: string
}

/** Null: none were written. */
const own = signal<Words | null>(read())
const suggested = computed(() => wordsOf(presetFor(ready.value?.clip.info.name ?? null)))

export const written = computed<Words>(() => own.value ?? suggested.value)

export function write(words: Partial<Words>): void {
  own.value = { ...written.value, ...words }
  try {
    localStorage.setItem(key, JSON.stringify(own.value))
  } catch {
    // Full, or forbidden: they last as long as the page.
  }
}

export function writePreset(preset: Preset): void {
  write(wordsOf(preset))
}

function wordsOf({ labels, templates }: Preset): Words {
  return { labels: labels.join("\n"), templates: templates.join("\n") }
}

function read(): Words | null {
  try {
    const { labels, templates } = Object(JSON.parse(localStorage.getItem(key) ?? "null"))
    return typeof labels === "string" && typeof templates === "string" ? { labels, templates } : null
  } catch {
    return null
  }
}
