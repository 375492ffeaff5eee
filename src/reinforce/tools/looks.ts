/** What may be found out of a shard by itself, and how that is kept in a file. */
import type { Storage } from "../../data/stores/storage.ts"
import type { LookJob } from "../job/job.ts"
import type { LookOptions, Shard } from "./find-shards.ts"
import { decodeCounts, encodeCounts } from "./stats/count-file.ts"
import { countShard, uncounted } from "./stats/count-shard.ts"
import { decodeCheck, encodeCheck } from "./verify/check-file.ts"
import { checkShard, unchecked } from "./verify/check-shard.ts"

interface Look<Settings, Found extends { readonly samples: number }> {
  look(storage: Storage, shard: Shard, settings: Settings, options: LookOptions): Promise<Found>
  encode(found: Found): Uint8Array
  /** Throws UserError, naming `url`, where it is not what `encode` gives. */
  decode(file: Uint8Array, url: string): Found
  /** What is known of a shard that nobody could look at. */
  unread(reason: string): Found
}

const looks = {
  verify: { look: checkShard, encode: encodeCheck, decode: decodeCheck, unread: unchecked },
  stats: { look: countShard, encode: encodeCounts, decode: decodeCounts, unread: uncounted },
} as const

export type LookName = LookJob["kind"]
export type SettingsOf<Name extends LookName> = Parameters<(typeof looks)[Name]["look"]>[2]
export type FoundBy<Name extends LookName> = ReturnType<(typeof looks)[Name]["decode"]>

export function lookOf<Name extends LookName>(name: Name): Look<SettingsOf<Name>, FoundBy<Name>> {
  return looks[name] as unknown as Look<SettingsOf<Name>, FoundBy<Name>>
}
