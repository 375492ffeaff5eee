/** Which pictures a search looks at. All filters that are given must hold; within a list, one of the values is enough. */

/** As a picture is seen, its camera's orientation applied. */
export const shapes = ["landscape", "portrait", "square"] as const

export type Shape = (typeof shapes)[number]

export interface Filters {
  /** Pictures without a date are left out. */
  readonly taken?: TimeRange
  /** Absolute paths without a separator at the end: a file is below one of them by whole names ("/a/b" does not hold "/a/bc.jpg"). */
  readonly folders?: readonly string[]
  /** SQLite's GLOB patterns with ASCII letters in lower case, for the file's name alone: `lower(name) GLOB pattern`. */
  readonly names?: readonly string[]
  /** Every one of them holds. */
  readonly sizes?: readonly SizeBound[]
  readonly shapes?: readonly Shape[]
  /** In lower case: parts of the camera's name. */
  readonly cameras?: readonly string[]
  /** Pictures without a place are left out. */
  readonly near?: Near
  /** Formats by the first bytes, as `pictureFormat` names them: "jpg", "heic". */
  readonly formats?: readonly string[]
}

/**
 * Local times of the camera, "2023-07-14T18:02:11", which compare as texts: `from <= taken AND taken < until`; null is without
 * an end.
 */
export interface TimeRange {
  readonly from: string | null
  readonly until: string | null
}

/** "larger": at least as large; "smaller": not so. */
export type SizeBound = { readonly than: "larger" | "smaller" } & (
  | { readonly unit: "pixels"; readonly pixels: number }
  | { readonly unit: "bytes"; readonly bytes: number }
  /** The picture's longer side and its shorter one, in pixels: both are as long where it is larger. */
  | { readonly unit: "sides"; readonly longer: number; readonly shorter: number }
)

/** Degrees, north and east positive, and the radius around the place. */
export interface Near {
  readonly latitude: number
  readonly longitude: number
  readonly kilometers: number
}
