/**
 * What was published about the released models: figures of others, to be compared with those computed here.
 *
 * Sources: `readme` is apple/ml-mobileclip@4144bb1's table; `results` the per-dataset results in its `results` folder
 * (ImageNet-1k's top-1, and the plain mean over the 38 main metrics, recomputed: the README's rounded figures agree);
 * `card` the model's card on the Hugging Face hub. Latency: iPhone 12 Pro Max, Core ML, batch 1.
 */
import type { VariantName } from "./variants.ts"

type PublishedSource = "readme" | "results" | "card"

/** A figure for each of the two towers. */
interface PublishedPair {
  readonly image: number
  readonly text: number
  readonly source: PublishedSource
}

interface PublishedFigure {
  readonly value: number
  readonly source: PublishedSource
}

export interface PublishedFigures {
  /** In millions, of the fused towers. */
  readonly parameters: PublishedPair
  /** In milliseconds. */
  readonly latency: PublishedPair
  /** ImageNet-1k zero-shot top-1 accuracy in percent. */
  readonly imagenet: PublishedFigure
  /** Mean over the 38 datasets in percent. */
  readonly average38: PublishedFigure
  /** Image-text pairs in billions. */
  readonly samplesSeen: PublishedFigure
  /** What is wrong in what was published. */
  readonly corrections: readonly string[]
}

// Image tower: parameters, latency. Text tower: the same.
const mci0 = [11.4, 1.5] as const
const mci1 = [21.5, 2.5] as const
const mci2 = [35.7, 3.6] as const
const mci3 = [125.1, 8.0] as const
const mci4 = [321.6, 19.6] as const
const vitB = [86.3, 10.4] as const
const vitL = [304.3, 57.9] as const
const mct = [42.4, 1.6] as const
const base = [63.4, 3.3] as const
const base768 = [123.6, 6.6] as const

const cutOff = "the README's 123.6 M text parameters are 123.650 M cut off; rounded they are 123.7"
const tooMany = "the README's 304.3 M image parameters are 0.3 M too many: the tower has 303.967 M"
const textTower =
  "the README lists the text tower of MobileCLIP-S0 (42.4 M, 1.6 ms); this model has the 12-layer one, as its card says"
const seenInPaper = "the README says 36 billion samples seen, the paper 39"

/** By variant; those that are not there were not published. */
export const published: Readonly<Partial<Record<VariantName, PublishedFigures>>> = {
  "mobileclip-s0": figures(mci0, mct, 67.786, 58.117),
  "mobileclip-s1": figures(mci1, base, 72.616, 61.254),
  "mobileclip-s2": figures(mci2, base, 74.438, 63.657),
  "mobileclip-b": figures(vitB, base, 76.824, 65.154),
  "mobileclip-blt": figures(vitB, base, 77.224, 65.779, { samplesSeen: 36, corrections: [seenInPaper] }),
  "mobileclip-s3": figures(mci3, base768, 78.29, 66.335, { corrections: [cutOff] }),
  "mobileclip-s4": figures(mci4, base768, 79.406, 68.11, { corrections: [cutOff] }),
  "mobileclip-l14": figures(vitL, base768, 79.528, 66.935, { corrections: [tooMany, cutOff] }),
  "mobileclip2-s0": figures(mci0, base, 71.534, 59.673, { towers: "card", corrections: [textTower] }),
  "mobileclip2-s2": figures(mci2, base, 77.236, 64.051),
  "mobileclip2-b": figures(vitB, base, 79.414, 65.757),
  "mobileclip2-s3": figures(mci3, base768, 80.684, 66.848, { corrections: [cutOff] }),
  "mobileclip2-s4": figures(mci4, base768, 81.854, 67.547, { corrections: [cutOff] }),
  "mobileclip2-l14": figures(vitL, base768, 81.904, 67.804, { corrections: [tooMany, cutOff] }),
}

export interface PublishedClip {
  readonly variant: VariantName
  /** Whose weights. */
  readonly weights: string
  /** What they are pulled as. */
  readonly release: string
  /** In percent, as above. */
  readonly imagenet: number
  readonly average38: number
}

/**
 * CLIP's own towers, beside which the papers put theirs, the best weights of each first. Source:
 * mlfoundations/open_clip@89fb801, `docs/openclip_results.csv`; weights trained on DataComp-1B (`datacomp_xl_s13b_b90k`, at
 * 256 pixels `datacomp_s34b_b86k`) and on LAION-2B (`laion2b_s34b_b88k`, B/32 `laion2b_s34b_b79k`), and OpenAI's.
 */
export const publishedClip: readonly PublishedClip[] = [
  { variant: "vit-l-14", weights: "DataComp", release: "ViT-L-14-datacomp", imagenet: 79.21, average38: 66.27 },
  {
    variant: "vit-l-14-quickgelu",
    weights: "DFN-2B",
    release: "DFN2B-CLIP-ViT-L-14",
    imagenet: 81.41,
    average38: 66.87,
  },
  { variant: "vit-l-14-quickgelu", weights: "OpenAI", release: "ViT-L-14-openai", imagenet: 75.54, average38: 61.73 },
  { variant: "vit-b-16", weights: "DataComp", release: "ViT-B-16-datacomp", imagenet: 73.49, average38: 61.47 },
  { variant: "vit-b-16", weights: "LAION-2B", release: "ViT-B-16-laion2b", imagenet: 70.23, average38: 58.66 },
  { variant: "vit-b-16-quickgelu", weights: "OpenAI", release: "ViT-B-16-openai", imagenet: 68.34, average38: 56.26 },
  { variant: "vit-b-32-256", weights: "DataComp", release: "ViT-B-32-256-datacomp", imagenet: 72.81, average38: 60.87 },
  { variant: "vit-b-32", weights: "DataComp", release: "ViT-B-32-datacomp", imagenet: 69.17, average38: 57.95 },
  { variant: "vit-b-32", weights: "LAION-2B", release: "ViT-B-32-laion2b", imagenet: 66.56, average38: 56.94 },
  { variant: "vit-b-32-quickgelu", weights: "OpenAI", release: "ViT-B-32-openai", imagenet: 63.32, average38: 52.45 },
]

/** Published accuracies of one file of weights, in percent. */
export interface PublishedAccuracy extends Pick<PublishedClip, "imagenet" | "average38"> {
  /** Whose weights, where there are several of one architecture. */
  readonly weights: string | null
}

/** Those of a model's released weights, the best first. */
export function accuraciesOf(variant: VariantName): PublishedAccuracy[] {
  const own = published[variant]
  if (own) return [{ weights: null, imagenet: own.imagenet.value, average38: own.average38.value }]
  return publishedClip
    .filter((entry) => entry.variant === variant)
    .map(({ weights, imagenet, average38 }) => ({ weights, imagenet, average38 }))
}

function figures(
  image: readonly [parameters: number, latency: number],
  text: readonly [parameters: number, latency: number],
  imagenet: number,
  average38: number,
  differing: { samplesSeen?: number; towers?: PublishedSource; corrections?: readonly string[] } = {},
): PublishedFigures {
  const { samplesSeen = 13, towers: source = "readme", corrections = [] } = differing
  return {
    parameters: { image: image[0], text: text[0], source },
    latency: { image: image[1], text: text[1], source },
    imagenet: { value: imagenet, source: "results" },
    average38: { value: average38, source: "results" },
    samplesSeen: { value: samplesSeen, source: "readme" },
    corrections,
  }
}
