/** An index for assistants, of the parts that are there: its database, its search, and the model that it was made with. */
import type { Image8 } from "../core/image/pixels.ts"
import { decodeImage } from "../host/image/images.ts"
import { type Classifier, classifyEach } from "../run/labels/classify.ts"
import type { IndexStore } from "../search/store/index-store.ts"
import { describeIndex, hasFile } from "./index-facts.ts"
import type { ClassifiedPicture, SearchedIndex } from "./searched-index.ts"

/** What classifying needs of a model: `MobileCLIP` has it. */
interface LabelModel {
  classifier(labels: readonly string[], options: { readonly signal: AbortSignal }): Promise<Classifier<Image8>>
}

interface IndexParts {
  readonly store: IndexStore
  readonly search: SearchedIndex["search"]
  /** Is called when labels come for the first time; a model that cannot be opened is asked for again. */
  openModel(): Promise<LabelModel>
}

export function indexOfStore({ store, search, openModel }: IndexParts): SearchedIndex {
  let opening: Promise<LabelModel> | null = null
  const model = () => {
    opening ??= openModel().catch((error) => {
      opening = null
      throw error
    })
    return opening
  }
  return {
    search,
    describe: async () => describeIndex(store),
    hasFile: (path) => hasFile(store, path),
    classify: async (paths, labels, { top, signal }) => {
      const classifier = await (await model()).classifier(labels, { signal })
      const exif = store.active().settings.orientation
      const found: ClassifiedPicture[] = []
      for await (const each of classifyEach(classifier, paths, (path) => decodeImage(path, { exif }))) {
        signal.throwIfAborted()
        const isRead = "labels" in each
        found.push({
          path: each.source,
          labels: isRead ? each.labels.slice(0, top) : [],
          error: isRead ? null : each.error.message,
        })
      }
      return found
    },
  }
}
