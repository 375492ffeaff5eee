/** Large pictures take turns: a small file may have a hundred million pixels, which take many bytes each while they are decoded. */

interface Waiting {
  readonly pixels: number
  readonly begin: () => void
}

export class PixelBudget {
  private used = 0
  /** In the order of their coming, so that small ones do not keep a large one waiting for ever. */
  private readonly waiting: Waiting[] = []

  /** @param most pixels under way at a time; a picture with more of them goes alone */
  constructor(private readonly most: number) {}

  async use<T>(wanted: number, work: () => Promise<T>): Promise<T> {
    const pixels = Math.min(wanted, this.most)
    await new Promise<void>((begin) => {
      this.waiting.push({ pixels, begin })
      this.admit()
    })
    try {
      return await work()
    } finally {
      this.used -= pixels
      this.admit()
    }
  }

  private admit(): void {
    for (let [first] = this.waiting; first && this.used + first.pixels <= this.most; [first] = this.waiting) {
      this.waiting.shift()
      this.used += first.pixels
      first.begin()
    }
  }
}
