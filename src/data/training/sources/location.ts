/** Where a sample's bytes are: all that a thread needs to read it. */

import type { UnreadFolder } from "../../../host/image/picture-folder.ts"
import type { Extent } from "../../sample-index/index-file.ts"

export type SampleLocation =
  /** Members of a tar archive: those of the first key that `extents` have, of the extensions that are wanted. */
  | {
      readonly kind: "tar"
      readonly path: string
      readonly extents: readonly Extent[]
      readonly extensions: readonly string[]
    }
  /** A line of a reinforced JSONL shard: it begins at `start` and ends before `end`, with blank ones. */
  | { readonly kind: "line"; readonly path: string; readonly start: number; readonly end: number }
  /** A picture's file; the captions are in a file of their own, or are given. */
  | { readonly kind: "file"; readonly path: string; readonly captions: readonly string[] | { readonly file: string } }

/** Samples by number, 0 to `count` - 1. */
export interface SampleList {
  readonly count: number
  /** What was passed over when it was made, a line each. */
  readonly notes?: readonly string[]
  /** Folders that could not be read when it was made; the notes name them too. */
  readonly unread?: readonly UnreadFolder[]
  /** Samples that the source keeps from training, not among these, and the folder's name that says so. */
  readonly heldOut?: { readonly name: string; readonly samples: SampleList }
  location(index: number): SampleLocation
  /** For lists that were opened with `fields`: the picture's path as it is listed, as `path`, and what else the row has, without its caption. */
  fields?(index: number): Readonly<Record<string, unknown>>
  /** For lists that know it without a look at each location: 16 hexadecimal digits of a text and then all rows (`identity.ts`). */
  digest?(text: string): Promise<string>
  /** For lists that keep a file open. */
  close?(): void
}

/** For messages, before the sample is read. */
export function describeLocation(location: SampleLocation): string {
  switch (location.kind) {
    case "tar":
      return `${location.path}, byte ${location.extents[0]?.start ?? 0}`
    case "line":
      return `${location.path}, byte ${location.start}`
    case "file":
      return location.path
  }
}
