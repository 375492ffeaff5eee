/** What a server asks of the process that has its index open, and what that answers: no path of this machine is in it. */
import type { Verdict } from "../../search/calibrate/calibration.ts"
import type { Facet, IndexDescription } from "../../search/query/describe.ts"
import type { WordScore } from "../../search/query/search-page.ts"
import type { ErrorKind } from "../http/errors.ts"

export interface ServedIndexSettings {
  readonly folder: string
  readonly threads: number
  /** Pixels that a picture may have. */
  readonly maxPixels: number
  /** 32 bytes that cursors are sealed with: those of one process are opened by the next. */
  readonly cursorKey: Uint8Array
}

/** As visitors write them: what `parseFilters` takes, but folders are named as results name them. */
export interface VisitorFilters {
  readonly after?: string | undefined
  readonly before?: string | undefined
  readonly date?: string | undefined
  readonly folders?: readonly string[] | undefined
  readonly names?: readonly string[] | undefined
  readonly larger?: readonly string[] | undefined
  readonly smaller?: readonly string[] | undefined
  readonly orientation?: string | undefined
  readonly cameras?: readonly string[] | undefined
  readonly near?: string | undefined
  readonly format?: string | undefined
}

/** Texts are texts, whatever they look like: nothing of a visitor is taken for a path. */
export interface VisitorQuery extends VisitorFilters {
  readonly query?: string | undefined
  /** The bytes of a picture's file. */
  readonly image?: Uint8Array | undefined
  /** The id of a picture of the index, which is left out of the hits. */
  readonly like?: string | undefined
  readonly minus?: readonly string[] | undefined
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface PublicHit {
  readonly id: string
  /** The first file's path below its root, after the root's own name: "Photos/2023/beach.jpg". */
  readonly name: string
  readonly score: number
  readonly cosine: number
  readonly z: number | null
  readonly verdict: Verdict | null
  readonly words: WordScore | null
  readonly width: number
  readonly height: number
  readonly taken: string | null
  readonly caption: string | null
}

export interface PublicPage {
  /** As it was understood. */
  readonly query: string
  readonly hits: readonly PublicHit[]
  readonly matches: number | null
  readonly cursor: string | null
  readonly searched: number
  readonly notes: readonly string[]
}

export interface PublicDescription extends Pick<IndexDescription, "pictures" | "files" | "model" | "dim" | "taken"> {
  /** The names of its roots, without what they lie in. */
  readonly folders: readonly string[]
  readonly cameras: readonly Facet[]
  readonly formats: readonly Facet[]
  /** Files that could not be read. */
  readonly failures: number
}

export type IndexTask =
  | { readonly kind: "search"; readonly query: VisitorQuery }
  /** `isKnown`: the client has it, and asks whether it is still there. `side`: of the longer one, in pixels. */
  | { readonly kind: "thumbnail"; readonly id: string; readonly side: number; readonly isKnown: boolean }
  | { readonly kind: "describe" }

export interface ThumbnailFile {
  readonly kind: "thumbnail"
  readonly bytes: Uint8Array
  readonly type: "image/jpeg" | "image/webp"
}

export interface Refusal {
  readonly kind: ErrorKind
  readonly message: string
  readonly parameter: string | null
}

export type IndexAnswer =
  | { readonly kind: "page"; readonly page: PublicPage }
  | { readonly kind: "description"; readonly description: PublicDescription }
  | ThumbnailFile
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly refusal: Refusal }
