/**
 * A list of pictures whose rows are read by where they begin: one pass finds that, and an index keeps it for every rank and
 * every later start. Nothing of a row is in memory. Small lists are, and are passed over whenever they are opened.
 */
import { dirname, resolve } from "node:path"
import type { SampleIndex } from "../../../sample-index/index-file.ts"
import { indexBeside, indexCacheDefaults } from "../../../sample-index/index-places.ts"
import type { SampleList, SampleLocation } from "../location.ts"
import { findOrMakeIndex, type ListIndex, writeListIndex } from "./list-index.ts"
import type { ListFacts } from "./list-pass.ts"
import { pathIn } from "./list-paths.ts"
import { ListRows } from "./list-rows.ts"
import { type ListSource, openListSource, type PassOptions } from "./list-source.ts"
import type { ListKind } from "./row-format.ts"

export interface OpenOptions extends PassOptions {
  /** Whether rows are asked for what they have beside picture and caption. */
  readonly fields?: boolean
}

/** Throws UserError where the list cannot be read, a row is damaged, or there are none. */
export async function openIndexed(
  path: string,
  kind: ListKind,
  { fields = false, ...pass }: OpenOptions = {},
): Promise<IndexedList> {
  return openList(await openListSource(path, indexCacheDefaults.smallestFile, pass), kind, fields)
}

/** @param source is closed with the list */
export async function openList(source: ListSource, kind: ListKind, fields = false): Promise<IndexedList> {
  try {
    return new IndexedList(source, kind, await findOrMakeIndex(source, kind, null), fields)
  } catch (error) {
    source.close()
    throw error
  }
}

export class IndexedList implements SampleList {
  readonly count: number
  readonly notes: readonly string[]
  readonly fields?: (index: number) => Readonly<Record<string, unknown>>
  private readonly index: SampleIndex
  private readonly facts: ListFacts
  private readonly rows: ListRows
  private readonly folder: string

  constructor(
    private readonly source: ListSource,
    private readonly kind: ListKind,
    { index, facts, notes }: ListIndex,
    fields: boolean,
  ) {
    const { path } = source
    ;[this.index, this.facts, this.count] = [index, facts, index.count]
    this.folder = resolve(dirname(path))
    this.rows = new ListRows(source, kind, index, facts)
    const isWindows = facts.isWindows ? [`${path}: its paths have \\ between folders, which is read as /`] : []
    this.notes = [...isWindows, ...notes]
    if (fields) this.fields = (i) => this.rows.fields(i)
  }

  /** Throws UserError where the list was changed since it was opened. */
  location(index: number): SampleLocation {
    const { image, captions } = this.rows.pair(index)
    return {
      kind: "file",
      path: pathIn(this.folder, this.facts.isWindows ? image.replaceAll("\\", "/") : image),
      captions,
    }
  }

  async digest(text: string): Promise<string> {
    const known = this.facts.digest
    if (known?.text === text) return known.hex
    const { index, facts } = await findOrMakeIndex(this.source, this.kind, { text, common: this.facts.common })
    index.close()
    return facts.digest!.hex
  }

  get isInMemory(): boolean {
    return this.source.isInMemory
  }

  get path(): string {
    return this.source.path
  }

  /** Whether the digest of a text and the rows is known. */
  hasDigest(text: string): boolean {
    return this.facts.digest?.text === text
  }

  /** Whether the index beside the list knows the digest of a text and the rows. */
  hasIndexBeside(text: string): boolean {
    return this.hasDigest(text) && this.index.name === indexBeside(this.source.path)
  }

  /** Writes the index beside the list, with the digest of a text and the rows. */
  async writeIndex(text: string): Promise<void> {
    await writeListIndex(this.source, this.kind, { text, common: this.facts.common })
  }

  close(): void {
    this.index.close()
    this.source.close()
  }
}
