/** Counts of what shards hold, one kind of thing each: captions, pictures, vectors, bytes. They hold numbers, not samples. */
import { Tokenizer } from "../../../core/text/tokenizer.ts"
import { shardFormat } from "../../../data/reinforced/read.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { indexTar } from "../../../data/reinforced/tar/tar-index.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { pictureSize } from "../../../host/image/picture-size.ts"
import { type Bin, Counter, type Spread } from "./spread.ts"

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

/** By kind: `text` are those a sample came with. */
export class CaptionCollector {
  private readonly tokenizer = new Tokenizer()
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

  private addKind(kind: string, captions: readonly string[]): void {
    const counters = this.kinds.get(kind) ?? { perSample: new Counter(), tokens: new Counter(), empty: 0 }
    this.kinds.set(kind, counters)
    counters.perSample.add(captions.length)
    for (const caption of captions) {
      counters.tokens.add(this.tokenizer.encode(caption).length)
      if (caption.trim() === "") counters.empty += 1
    }
  }
}

export interface PictureStats {
  readonly formats: Readonly<Record<string, number>>
  /** In pixels; null where there is no picture. */
  readonly width: Spread | null
  readonly height: Spread | null
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

/** By key: `image_emb`, `text_emb`, ... */
export class EmbeddingCollector {
  private readonly keys = new Map<string, { rows: Counter; width: Counter; dtypes: Map<string, number> }>()

  add({ embeddings }: ReinforcedSample): void {
    for (const [key, { rows, width, dtype }] of embeddings) {
      const counters = this.keys.get(key) ?? { rows: new Counter(), width: new Counter(), dtypes: new Map() }
      this.keys.set(key, counters)
      counters.rows.add(rows)
      counters.width.add(width)
      increment(counters.dtypes, dtype)
    }
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

/** Adds the members of a local shard by extension, none for JSONL -> bytes of the file. Throws UserError on what is not a shard. */
export async function addMembers(path: string, totals: Map<string, MemberBytes>): Promise<number> {
  const file = openRandomAccess(path)
  try {
    if (shardFormat(file) !== "tar") return file.size
    const { samples } = await indexTar(file)
    for (const { extension, size } of [...samples.values()].flat()) {
      const { files, bytes } = totals.get(extension) ?? { files: 0, bytes: 0 }
      totals.set(extension, { files: files + 1, bytes: bytes + size })
    }
    return file.size
  } finally {
    file.close()
  }
}

function increment<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}
