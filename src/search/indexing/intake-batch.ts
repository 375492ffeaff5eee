/** What an intake has ready, until it is written: all of it is in the index afterwards, or nothing. */
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import {
  type ContentDetails,
  describeContent,
  type NewCopy,
  type NewFailure,
  type NewFile,
} from "../store/picture-rows.ts"

export interface ReadyContent {
  readonly content: ContentDetails
  /** A unit vector [dim]. */
  readonly vector: Float32Array
  readonly files: readonly NewFile[]
  /** The id of a content that is in the index and lost its vector; null: it is new. */
  readonly lost: number | null
}

export interface WrittenBatch {
  /** Files beyond the first of a content. */
  readonly known: number
  /** Contents whose details were others before. */
  readonly described: number
}

export class IntakeBatch {
  readonly contents: ReadyContent[] = []
  /** Further files of contents that are in the index. */
  readonly copies: NewCopy[] = []
  readonly failures: NewFailure[] = []
  /** Contents of the index whose files say something else now. */
  readonly described: { readonly id: number; readonly content: ContentDetails }[] = []

  get size(): number {
    return this.contents.length + this.copies.length + this.failures.length + this.described.length
  }

  /** Vectors are on the disk before the rows are that count them. */
  write(writer: IndexWriter, generation: Generation): WrittenBatch {
    const { store } = writer
    const isNew = ({ lost }: ReadyContent) => lost === null
    const again = this.contents.filter((each) => !isNew(each))
    for (const { lost, vector } of again) writer.setVectors(generation, lost! - 1, vector)
    const copies = [
      ...this.copies,
      ...again.flatMap(({ lost, files }) => files.map((file) => ({ file, content: lost! }))),
    ]
    writer.addPictures(generation, this.contents.filter(isNew), this.failures, copies)
    const changed = store.writing(() => this.described.filter(({ id, content }) => describeContent(store, id, content)))
    const more = this.contents.reduce((sum, { files }) => sum + files.length - 1, 0)
    return { known: this.copies.length + more, described: changed.length }
  }
}
