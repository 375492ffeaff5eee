/** What words of captions do to a search, by their weight: an index in which some pictures say their class, and some another one. */
import { join } from "node:path"
import { Random } from "../../src/core/arrays/random.ts"
import { temporaryFolder } from "../../src/host/files/temporary.ts"
import { findIndexModel } from "../../src/search/query/find-index-model.ts"
import { SearchIndex } from "../../src/search/search-index.ts"
import { IndexWriter } from "../../src/search/store/index-writer.ts"
import { plainPicture } from "../../test/plain-picture.ts"

export interface Labelled {
  readonly classNames: readonly string[]
  readonly labels: readonly number[]
  /** [labels, dim], unit length */
  readonly vectors: Float32Array
  readonly dim: number
}

export interface Captions {
  /** The share of pictures whose caption is their class, and of those whose caption is another class. */
  readonly right: number
  readonly wrong: number
}

export interface WordsRequest {
  readonly model: string
  readonly pictures: Labelled
  readonly captions: Captions
  /** Texts that say the name of a class, with its number. */
  readonly queries: readonly { readonly text: string; readonly label: number }[]
  readonly weights: readonly number[]
  /** So many best hits are looked at. */
  readonly cutoffs: readonly number[]
  readonly seed: number
}

/** The mean precision over the queries: by weight, and then by cutoff. */
export async function precisionByWeight(request: WordsRequest): Promise<number[][]> {
  using folder = temporaryFolder("search-words")
  const path = join(folder.path, "index")
  await writeIndex(path, request)
  await using index = await SearchIndex.open(path, { cache: false })
  const rows: number[][] = []
  for (const words of request.weights) rows.push(await precisions(index, words, request))
  return rows
}

async function precisions(index: SearchIndex, words: number, { queries, cutoffs, pictures }: WordsRequest) {
  const sums = cutoffs.map(() => 0)
  for (const { text, label } of queries) {
    const page = await index.search({ terms: [{ kind: "text", weight: 1, text }], limit: Math.max(...cutoffs), words })
    const isRight = page.hits.map(({ position }) => pictures.labels[position] === label)
    cutoffs.forEach((cutoff, c) => {
      sums[c]! += isRight.slice(0, cutoff).filter(Boolean).length / cutoff
    })
  }
  return sums.map((sum) => sum / queries.length)
}

async function writeIndex(path: string, { model, pictures, captions, seed }: WordsRequest): Promise<void> {
  using writer = await IndexWriter.open(path, "a benchmark")
  const { identity } = await findIndexModel(model, null)
  const settings = { orientation: "apply", decode: "exact", store: "file" } as const
  const generation = writer.addGeneration({ model: "model", source: model, identity, dim: pictures.dim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, '/pictures')")
  const random = Random.of(seed, "captions")
  const { vectors, dim, labels } = pictures
  writer.addPictures(
    generation,
    labels.map((_, n) =>
      plainPicture(n, vectors.slice(n * dim, (n + 1) * dim), captionOf(pictures, n, captions, random)),
    ),
  )
}

/** Each picture draws two numbers, whatever its class and the shares are. */
function captionOf({ classNames, labels }: Labelled, n: number, { right, wrong }: Captions, random: Random) {
  const [drawn, other] = [random.uniform(), random.int(classNames.length - 1)]
  const label = labels[n]!
  if (drawn < right) return classNames[label]!
  return drawn < right + wrong ? classNames[other < label ? other : other + 1]! : null
}
