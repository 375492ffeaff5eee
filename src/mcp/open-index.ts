/** An index on the disk for assistants: its search, and the model that it was made with for labels. */
import type { Image8 } from "../core/image/pixels.ts"
import { decodeImage } from "../host/image/images.ts"
import { type ClassifierModel, classifyEach, createClassifier } from "../run/labels/classify.ts"
import { SearchIndex, type SearchOptions } from "../search/search-index.ts"
import { IndexStore } from "../search/store/index-store.ts"
import { loadModel } from "../weights/load-model.ts"
import type { ClassifiedPicture, SearchedIndex } from "./searched-index.ts"

type LabelModel = ClassifierModel<Image8> & AsyncDisposable

/** Opens no model yet. Throws UserError as `SearchIndex.open` does. */
export async function openIndex(folder: string, options: SearchOptions = {}): Promise<SearchedIndex & AsyncDisposable> {
  const index = await SearchIndex.open(folder, options)
  let opening: Promise<LabelModel> | null = null
  const model = () => {
    opening ??= openLabelModel(folder, options).catch((error) => {
      // It may be there at the next call.
      opening = null
      throw error
    })
    return opening
  }
  return {
    folder: index.folder,
    search: (request) => index.search(request),
    describe: async () => index.describe(),
    hasFile: (path) => index.hasFile(path),
    classify: async (paths, labels, how) => classifyPaths(await model(), orientationOf(folder), paths, labels, how),
    async [Symbol.asyncDispose]() {
      // What it cannot be opened for was thrown where it was needed.
      await (await opening?.catch(() => null))?.[Symbol.asyncDispose]()
      await index[Symbol.asyncDispose]()
    },
  }
}

/** Downloads nothing. */
async function openLabelModel(folder: string, { model, threads, onStage }: SearchOptions): Promise<LabelModel> {
  using store = IndexStore.open(folder)
  return loadModel(model ?? store.active().source, { threads, ...(onStage && { onStage }) })
}

function orientationOf(folder: string): "apply" | "ignore" {
  using store = IndexStore.open(folder)
  return store.active().settings.orientation
}

async function classifyPaths(
  model: LabelModel,
  exif: "apply" | "ignore",
  paths: readonly string[],
  labels: readonly string[],
  { top, signal }: { readonly top: number; readonly signal: AbortSignal },
): Promise<ClassifiedPicture[]> {
  const classifier = await createClassifier(model, labels)
  const found: ClassifiedPicture[] = []
  for await (const each of classifyEach(classifier, paths, (path) => decodeImage(path, { exif }))) {
    signal.throwIfAborted()
    found.push(
      "labels" in each
        ? { path: each.source, labels: each.labels.slice(0, top), error: null }
        : { path: each.source, labels: [], error: each.error.message },
    )
  }
  return found
}
