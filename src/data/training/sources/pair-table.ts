/**
 * Pictures and captions of millions of rows in little more memory than their bytes: a few thousand letters are stored
 * together, and not as an object for each row, which V8 would scan again and again.
 */
import type { Pair } from "./pairs.ts"

/** Letters after which a page is full: small enough to be decoded for one row. */
const fullPage = 2 ** 14

interface Page {
  /** Number of its first row. */
  readonly start: number
  /** UTF-8. */
  readonly bytes: Buffer
  /** Where each text ends, in letters: picture, caption, picture, ... */
  readonly ends: Uint32Array
}

export class PairTable {
  private readonly pages: Page[] = []
  private texts: string[] = []
  private letters = 0
  private start = 0
  private last: { readonly page: Page; readonly text: string } | null = null

  get count(): number {
    return this.start + this.texts.length / 2
  }

  add(image: string, caption: string): void {
    this.texts.push(image, caption)
    this.letters += image.length + caption.length
    if (this.letters >= fullPage) this.closePage()
  }

  /** The page that was decoded last, so that rows in sequence decode it once. */
  at(index: number): Pair {
    if (index >= this.start) this.closePage()
    const page = this.pageOf(index)
    if (this.last?.page !== page) this.last = { page, text: page.bytes.toString("utf8") }
    const { text } = this.last
    const [first, ends] = [2 * (index - page.start), page.ends]
    const image = text.slice(first === 0 ? 0 : ends[first - 1]!, ends[first]!)
    return { image, captions: [text.slice(ends[first]!, ends[first + 1]!)] }
  }

  private closePage(): void {
    let end = 0
    const ends = Uint32Array.from(this.texts, ({ length }) => (end += length))
    this.pages.push({ start: this.start, bytes: Buffer.from(this.texts.join("")), ends })
    this.start = this.count
    ;[this.texts, this.letters] = [[], 0]
  }

  private pageOf(index: number): Page {
    const { pages } = this
    let [low, high] = [0, pages.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (pages[middle]!.start <= index) low = middle
      else high = middle - 1
    }
    return pages[low]!
  }
}
