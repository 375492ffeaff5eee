/**
 * Counts of what shards hold, one kind of thing each: captions, pictures, vectors, bytes. They hold numbers, not samples, and
 * add up: what one process counted (`counted`), another one takes over (`addAll`).
 */
import { Tokenizer } from "../../../core/text/tokenizer.ts"
import { shardFormat } from "../../../data/reinforced/read.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { indexTar } from "../../../data/reinforced/tar/tar-index.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { pictureSize } from "../../../host/image/picture-size.ts"
import { type Bin, Counter, type Counts, type Spread } from "./spread.ts"

export interface CaptionStats {
  /** Samples that have captions of the kind. */
  readonly samples: number
  readonly perSample: Spread
  /** In each caption, with start and end of text; null where the lists of captions are empty. */
  readonly tokens: Spread | null
  readonly histogram: readonly Bin[]
  /** Captions longer than the context of the models, which is cut. */
  readonly cut: number
  readonly empty: number
}

const contextLength = 77

/** Tokens in a bin of the histogram. */
const binWidth = 8

interface CountedCaptions {
  readonly perSample: Counts
  readonly tokens: Counts
  readonly empty: number
}

/** By kind: `text` are those a sample came with. */
export class CaptionCollector {
  private readonly kinds = new Map<string, { perSample: Counter; tokens: Counter; empty: number }>()

  add({ texts, synTexts }: ReinforcedSample): void {
    if (texts.length > 0) this.addKind("text", texts)
    for (const [key, captions] of synTexts) this.addKind(key, captions)
  }

  result(): Record<string, CaptionStats> {
    const entries = [...this.kinds].map(([kind, { perSample, tokens, empty }]): [string, CaptionStats] => [
      kind,
      {
        samples: perSample.count,
        perSample: perSample.spread()!,
        tokens: tokens.spread(),
        histogram: tokens.histogram(binWidth),
        cut: tokens.above(contextLength),
        empty,
      },
    ])
    return Object.fromEntries(entries)
  }

  counted(): ReadonlyMap<string, CountedCaptions> {
    const entries = [...this.kinds].map(([kind, { perSample, tokens, empty }]) => {
      return [kind, { perSample: perSample.counts, tokens: tokens.counts, empty }] as const
    })
    return new Map(entries)
  }

  addAll(counted: ReadonlyMap<string, CountedCaptions>): void {
    for (const [kind, { perSample, tokens, empty }] of counted) {
      const counters = this.countersOf(kind)
      counters.perSample.addAll(perSample)
      counters.tokens.addAll(tokens)
      counters.empty += empty
    }
  }

  private addKind(kind: string, captions: readonly string[]): void {
    const counters = this.countersOf(kind)
    counters.perSample.add(captions.length)
    for (const caption of captions) {
      counters.tokens.add(tokenizer().encode(caption).length)
      if (caption.trim() === "") counters.empty += 1
    }
  }

  private countersOf(kind: string) {
    return entryOf(this.kinds, kind, () => ({ perSample: new Counter(), tokens: new Counter(), empty: 0 }))
  }
}

/** One for all shards of a process: its tables take longer to make than a shard's captions to count. */
let sharedTokenizer: Tokenizer | null = null

function tokenizer(): Tokenizer {
  sharedTokenizer ??= new Tokenizer()
  return sharedTokenizer
}

export interface PictureStats {
  readonly formats: Readonly<Record<string, number>>
  /** In pixels; null where there is no picture. */
  readonly width: Spread | null
  readonly height: Spread | null
}

interface CountedPictures {
  readonly formats: ReadonlyMap<string, number>
  readonly width: Counts
  readonly height: Counts
}

export class PictureCollector {
  private readonly formats = new Map<string, number>()
  private readonly width = new Counter()
  private readonly height = new Counter()

  /** Throws UserError where the picture's header cannot be read. */
  async add({ image }: ReinforcedSample): Promise<void> {
    if (!image) return
    increment(this.formats, image.extension)
    const { width, height } = await pictureSize(image.bytes, "its picture")
    this.width.add(width)
    this.height.add(height)
  }

  counted(): CountedPictures {
    return { formats: this.formats, width: this.width.counts, height: this.height.counts }
  }

  addAll({ formats, width, height }: CountedPictures): void {
    for (const [format, count] of formats) increment(this.formats, format, count)
    this.width.addAll(width)
    this.height.addAll(height)
  }

  result(): PictureStats {
    return { formats: Object.fromEntries(this.formats), width: this.width.spread(), height: this.height.spread() }
  }
}

export interface EmbeddingStats {
  readonly samples: number
  readonly rows: Spread
  /** Values in a row; all samples should have the same. */
  readonly width: Spread
  readonly dtypes: Readonly<Record<string, number>>
}

interface CountedEmbeddings {
  readonly rows: Counts
  readonly width: Counts
  readonly dtypes: ReadonlyMap<string, number>
}

/** By key: `image_emb`, `text_emb`, ... */
export class EmbeddingCollector {
  private readonly keys = new Map<string, { rows: Counter; width: Counter; dtypes: Map<string, number> }>()

  add({ embeddings }: ReinforcedSample): void {
    for (const [key, { rows, width, dtype }] of embeddings) {
      const counters = this.countersOf(key)
      counters.rows.add(rows)
      counters.width.add(width)
      increment(counters.dtypes, dtype)
    }
  }

  counted(): ReadonlyMap<string, CountedEmbeddings> {
    const entries = [...this.keys].map(([key, { rows, width, dtypes }]) => {
      return [key, { rows: rows.counts, width: width.counts, dtypes }] as const
    })
    return new Map(entries)
  }

  addAll(counted: ReadonlyMap<string, CountedEmbeddings>): void {
    for (const [key, { rows, width, dtypes }] of counted) {
      const counters = this.countersOf(key)
      counters.rows.addAll(rows)
      counters.width.addAll(width)
      for (const [dtype, count] of dtypes) increment(counters.dtypes, dtype, count)
    }
  }

  private countersOf(key: string) {
    return entryOf(this.keys, key, () => ({ rows: new Counter(), width: new Counter(), dtypes: new Map() }))
  }

  result(): Record<string, EmbeddingStats> {
    const entries = [...this.keys].map(([key, { rows, width, dtypes }]): [string, EmbeddingStats] => [
      key,
      { samples: rows.count, rows: rows.spread()!, width: width.spread()!, dtypes: Object.fromEntries(dtypes) },
    ])
    return Object.fromEntries(entries)
  }
}

/** What the bytes of a tar are spent on, by kind of member. */
export interface MemberBytes {
  readonly files: number
  readonly bytes: number
}

export type Members = ReadonlyMap<string, MemberBytes>

/** Members of a local shard by extension, none for JSONL, and bytes of the file. Throws UserError on what is not a shard. */
export async function membersOf(path: string): Promise<{ readonly members: Members; readonly bytes: number }> {
  const members = new Map<string, MemberBytes>()
  using file = openRandomAccess(path)
  if (shardFormat(file) !== "tar") return { members, bytes: file.size }
  const { samples } = await indexTar(file)
  for (const { extension, size } of [...samples.values()].flat()) addMember(members, extension, 1, size)
  return { members, bytes: file.size }
}

export function addMembers(totals: Map<string, MemberBytes>, members: Members): void {
  for (const [extension, { files, bytes }] of members) addMember(totals, extension, files, bytes)
}

function addMember(totals: Map<string, MemberBytes>, extension: string, files: number, bytes: number): void {
  const before = totals.get(extension) ?? { files: 0, bytes: 0 }
  totals.set(extension, { files: before.files + files, bytes: before.bytes + bytes })
}

function increment<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

/** That of the map, or a new one that is put there. */
function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const entry = map.get(key) ?? make()
  map.set(key, entry)
  return entry
}
