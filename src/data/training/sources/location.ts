/** Where a sample's bytes are: all that a thread needs to read it. */

import type { UnreadFolder } from "../../../host/image/picture-folder.ts"

export type SampleLocation =
  /** Members of a tar archive. */
  | { readonly kind: "tar"; readonly path: string; readonly key: string; readonly members: readonly MemberLocation[] }
  /** A line of a reinforced JSONL shard. */
  | { readonly kind: "line"; readonly path: string; readonly offset: number; readonly length: number }
  /** A picture's file; the captions are in a file of their own, or are given. */
  | { readonly kind: "file"; readonly path: string; readonly captions: readonly string[] | { readonly file: string } }

export interface MemberLocation {
  readonly extension: string
  readonly offset: number
  readonly size: number
}

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

/** For messages. */
export function describeLocation(location: SampleLocation): string {
  switch (location.kind) {
    case "tar":
      return `${location.path}: ${location.key}`
    case "line":
      return `${location.path}, byte ${location.offset}`
    case "file":
      return location.path
  }
}
