/**
 * What teachers say of the same samples, from the stored vectors: which caption of all fits each picture best, how near
 * views of a picture are to each other, and how near pictures are to their captions.
 */
import type { Embeddings, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { arrangeTextEmbeddings } from "../../../data/reinforced/text-embeddings.ts"

export interface TeacherAgreement {
  /** Samples that were compared: the number of captions to choose from, too. */
  readonly samples: number
  /** Captions that were chosen from: `text`, the samples' own; where no sample has one, the first synthetic key. */
  readonly chosen: string
  readonly teachers: readonly TeacherView[]
  /** Share of pictures for which two teachers choose the same caption, for each pair. */
  readonly pairs: readonly { readonly teachers: readonly [number, number]; readonly top1: number }[]
}

interface TeacherView {
  readonly width: number
  /** Share of pictures (first view) for which the first caption of the sample fits best among those of all samples. */
  readonly ownCaption: number
  /** Mean cosine between two views of one picture; null where pictures have one view. */
  readonly views: number | null
  /** Mean cosine between a view and a caption of its sample, by kind of caption. */
  readonly captions: Readonly<Record<string, number>>
}

interface Vectors {
  readonly views: Embeddings
  readonly captions: ReadonlyMap<string, Embeddings>
}

/** Null where fewer than two samples have vectors of views and of captions. */
export function teacherAgreement(
  samples: readonly ReinforcedSample[],
  teacherWidths: readonly number[],
  suffix = "",
): TeacherAgreement | null {
  const width = teacherWidths.reduce((sum, part) => sum + part, 0)
  const chosen = chosenKind(samples, suffix)
  const vectors = samples.flatMap((sample) => vectorsOf(sample, chosen, width, suffix) ?? [])
  if (vectors.length < 2) return null
  const parts = teacherWidths.map((part, i) => ({ part, from: sumOf(teacherWidths.slice(0, i)) }))
  const choices = parts.map(({ part, from }) => bestCaptions(vectors, chosen, from, part))
  return {
    ...{ samples: vectors.length, chosen },
    teachers: parts.map(({ part, from }, i) => ({
      width: part,
      ownCaption: meanOf(choices[i]!.map((choice, sample) => (choice === sample ? 1 : 0))),
      views: meanOrNull(vectors.flatMap(({ views }) => viewCosine(views, from, part) ?? [])),
      captions: captionCosines(vectors, from, part),
    })),
    pairs: pairsOf(teacherWidths.length).map(([a, b]) => ({
      teachers: [a, b],
      top1: meanOf(choices[a]!.map((choice, sample) => (choice === choices[b]![sample] ? 1 : 0))),
    })),
  }
}

/** Of pictures that only a captioner described, nothing else is there. */
function chosenKind(samples: readonly ReinforcedSample[], suffix: string): string {
  const kinds = samples.flatMap((sample) => [...captionVectors(sample, suffix).keys()])
  return kinds.includes("text") ? "text" : (kinds[0] ?? "text")
}

function vectorsOf(sample: ReinforcedSample, chosen: string, width: number, suffix: string): Vectors | null {
  const views = sample.embeddings.get(`image_emb${suffix}`)
  const captions = captionVectors(sample, suffix)
  const fits = [views, ...captions.values()].every((vectors) => vectors && vectors.width === width && vectors.rows > 0)
  return views && captions.has(chosen) && fits ? { views, captions } : null
}

/** A sample's caption vectors by what the captions are, from either layout: `text` for its own, else the synthetic key. */
function captionVectors(sample: ReinforcedSample, suffix: string): Map<string, Embeddings> {
  const separate = arrangeTextEmbeddings(sample, "separate")
  const kinds = ["text", ...sample.synTexts.keys()]
  return new Map(
    kinds.flatMap((kind) => {
      const vectors = separate.get(`${kind}_emb${suffix}`)
      return vectors ? [[kind, vectors] as const] : []
    }),
  )
}

/** For the first view of each sample, the sample whose first caption has the largest cosine. */
function bestCaptions(samples: readonly Vectors[], chosen: string, from: number, width: number): number[] {
  return samples.map(({ views }) => {
    let [best, largest] = [0, Number.NEGATIVE_INFINITY]
    samples.forEach(({ captions }, i) => {
      const cosine = dot(views, 0, captions.get(chosen)!, 0, from, width)
      if (cosine > largest) [best, largest] = [i, cosine]
    })
    return best
  })
}

/** Mean over all pairs of rows; null for one row. */
function viewCosine(views: Embeddings, from: number, width: number): number | null {
  const cosines = pairsOf(views.rows).map(([a, b]) => dot(views, a, views, b, from, width))
  return meanOrNull(cosines)
}

function captionCosines(samples: readonly Vectors[], from: number, width: number): Record<string, number> {
  const cosines = new Map<string, number[]>()
  for (const { views, captions } of samples) {
    for (const [kind, vectors] of captions) {
      const known = cosines.get(kind) ?? []
      for (let view = 0; view < views.rows; view++) {
        for (let row = 0; row < vectors.rows; row++) known.push(dot(views, view, vectors, row, from, width))
      }
      cosines.set(kind, known)
    }
  }
  return Object.fromEntries([...cosines].map(([kind, values]) => [kind, meanOf(values)]))
}

/** Product of two rows' columns from `from` on. A teacher's part is of unit length, so this is the cosine. */
function dot(a: Embeddings, aRow: number, b: Embeddings, bRow: number, from: number, width: number): number {
  const [aStart, bStart] = [aRow * a.width + from, bRow * b.width + from]
  let sum = 0
  for (let i = 0; i < width; i++) sum += a.values[aStart + i]! * b.values[bStart + i]!
  return sum
}

function pairsOf(count: number): [number, number][] {
  return Array.from({ length: count }, (_, a) => a).flatMap((a) =>
    Array.from({ length: count - a - 1 }, (_, i): [number, number] => [a, a + 1 + i]),
  )
}

function meanOrNull(values: readonly number[]): number | null {
  return values.length === 0 ? null : meanOf(values)
}

function meanOf(values: readonly number[]): number {
  return sumOf(values) / values.length
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
