/** How pictures are packed into shards. */
import { noProgress, type StartProgress } from "../../core/progress.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import type { ListOptions } from "../training/sources/open-source.ts"

export interface MakeShardsOptions extends Omit<ListOptions, "fields"> {
  /** A folder with captions beside pictures or with class folders; a CSV, TSV or JSONL file. */
  readonly source: string
  /** The folder of the shards. It is created; shards that an earlier call with the same options completed are kept. */
  readonly out: string
  /** 1 to 100,000. */
  readonly samplesPerShard?: number
  /** Seed of a random order; null: folders by path, lists as they are. */
  readonly shuffle?: number | null
  /** Whether pictures need captions; without, a folder's pictures are packed alone. */
  readonly captions?: boolean
  /** Whether pictures that are cut off are taken. */
  readonly truncated?: Truncated
  /** Pictures that may be left out before the work stops. */
  readonly maxFailures?: number
  readonly startProgress?: StartProgress
  /** Gets a line about each kind of file that was passed over. */
  readonly onNote?: (line: string) => void
  readonly signal?: AbortSignal
}

export const makeShardsDefaults = {
  ...{ samplesPerShard: 1000, shuffle: null, captions: true, truncated: "accept" },
  ...{ maxFailures: Number.POSITIVE_INFINITY, startProgress: noProgress },
} as const satisfies Partial<MakeShardsOptions>

/** With the defaults. */
export type ResolvedOptions = MakeShardsOptions & Required<Pick<MakeShardsOptions, keyof typeof makeShardsDefaults>>
