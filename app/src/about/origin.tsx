/** What a model was trained on: as far as its files say it, and what is known of models of its name. */
import type { MobileCLIP } from "mobileclip/browser"
import { counted } from "../shared/words.ts"

interface Known {
  readonly names: RegExp
  readonly sets: string
}

/** By name, which the project gives to what it trains itself, and publishers to theirs. */
const known: readonly Known[] = [
  {
    names: /^quickstart-/,
    sets: "models of this name are trained by the quickstart on rendered pictures of coloured shapes alone: they have never seen a photograph",
  },
  {
    names: /^cifar10-/,
    sets: "models of this name are trained on CIFAR-10 alone, photographs of 32 by 32 pixels of ten kinds: they know nothing else",
  },
  {
    names: /^mobileclip2-/,
    sets: "the published model of this name was trained on DFNDR-2B, two billion pictures from the web with texts of people and of a captioner",
  },
  {
    names: /^mobileclip-/,
    sets: "the published model of this name was trained on DataCompDR-1B, a billion pictures from the web with texts of people and of a captioner",
  },
]

const notSaid = "its files do not say: whoever made it knows, and what it was not shown it may not know"

export function TrainedOn({ info: { name, manifest } }: { readonly info: MobileCLIP["info"] }) {
  const sets = known.find(({ names }) => names.test(name))?.sets
  const samples = manifest?.samplesSeen ?? 0
  return (
    <>
      <p>{capital(sets ?? notSaid)}.</p>
      <p>
        {samples > 0
          ? `It saw ${counted(samples, "pair")} of a picture and texts, repetitions included.`
          : "Its files do not say how many pairs of a picture and texts it saw."}
        {sets && " Which pictures these were, its files do not say: that goes by its name."}
      </p>
      {manifest?.source && (
        <p class="soft">
          Made from {manifest.source.file} (SHA-256 {manifest.source.sha256.slice(0, 12)} …)
        </p>
      )}
    </>
  )
}

/** Terms that files name by a word. */
const licences: Readonly<Record<string, string>> = {
  "your own":
    "your own: its weights were trained from nothing, and no terms of others bind them; the pictures' owners may have some",
  "apple-amlr":
    "apple-amlr, Apple's for machine learning research: non-commercial science alone, for what is derived from it too",
}

export function licenceOf({ license }: MobileCLIP["info"]): string {
  if (license === null) return "its files do not say: without one nothing is permitted"
  return licences[license] ?? license
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
