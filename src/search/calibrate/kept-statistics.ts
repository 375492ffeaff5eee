/** A background's statistics as an index keeps them: computing them takes a new process longer than its query. */
import { isObject, jsonOrNull } from "../../core/json.ts"
import type { Background } from "./background.ts"
import { type BackgroundQueries, type Statistics, statisticsOf } from "./statistics.ts"

export type KeptStatistics = Readonly<Record<BackgroundQueries, Statistics | null>>

/** As an index has it. */
export interface KeptBackground extends Background {
  /** Null where they are to be computed. */
  readonly statistics: KeptStatistics | null
}

/** Another form, or another computation, is another version. */
const version = 1

/** @param state of the background: other vectors have another one */
export function statisticsText(background: Background, state: string): string {
  const [prompts, pictures] = (["prompts", "pictures"] as const).map((queries) => written(background, queries))
  return JSON.stringify({ version, state, prompts, pictures })
}

/** Null where the text is of another state, version or form. */
export function statisticsOfText(text: string | null, state: string, dim: number): KeptStatistics | null {
  const kept = text === null ? null : jsonOrNull(text)
  if (!isObject(kept) || kept.version !== version || kept.state !== state) return null
  const [prompts, pictures] = [read(kept.prompts, dim), read(kept.pictures, dim)]
  return prompts === undefined || pictures === undefined ? null : { prompts, pictures }
}

function written(background: Background, queries: BackgroundQueries): object | null {
  const statistics = statisticsOf(background, queries)
  return statistics && { ...statistics, meanQuery: [...statistics.meanQuery] }
}

/** Undefined where a number is not finite, which JSON does not have, or the vectors were of another length. */
function read(value: unknown, dim: number): Statistics | null | undefined {
  if (value === null) return null
  const given = value as Omit<Statistics, "meanQuery"> & { readonly meanQuery: readonly number[] }
  const { meanQuery, pictureSpread, location, querySpread, best } = given
  const levels = [...best.both, ...best.query].flatMap(({ median, low }) => [median, low])
  const numbers = [...meanQuery, pictureSpread, location.center, location.spread, querySpread, ...levels]
  if (meanQuery.length !== dim || !numbers.every(Number.isFinite)) return undefined
  return { ...given, meanQuery: Float32Array.from(meanQuery) }
}
