/** Samples that cannot be used: counted by what is wrong with them, until there are too many. */
import { oneLine, UserError } from "../../core/errors.ts"

/** What can be wrong with a sample; messages say it of one of them. */
export type BadReason =
  | "damaged sample"
  | "damaged picture"
  | "no picture"
  | "no caption"
  | "no stored views"
  | "view outside of the picture"
  | "no embeddings"
  | "no synthetic captions"

const wholly: ReadonlySet<BadReason> = new Set(["damaged sample", "damaged picture", "no picture"])

/** Thrown where one sample is read, caught where its row is replaced. */
export class BadSample extends Error {
  override readonly name = "BadSample"

  constructor(
    readonly reason: BadReason,
    /** The sample and what is wrong with it. */
    message: string,
  ) {
    super(message)
  }
}

export class BadSamples {
  readonly reasons = new Map<BadReason, number>()
  private readonly examples = new Map<BadReason, string>()
  private readonly counted = new Set<number>()
  private readonly unusable = new Set<number>()
  private total = 0

  constructor(private readonly limit: number) {}

  get count(): number {
    return this.total
  }

  /**
   * Whether the sample can never be used, so it need not be tried again. What only some rows of it lack does not count:
   * then it would depend on the rows before whether others are made of it.
   */
  isUnusable(id: number): boolean {
    return this.unusable.has(id)
  }

  /**
   * Counts a sample once. Throws UserError when there are more than the limit.
   *
   * @param id null where it has none, because its shard did not give it
   */
  add(id: number | null, reason: BadReason, message: string): void {
    if (id !== null && this.counted.has(id)) return
    if (id !== null) this.counted.add(id)
    if (id !== null && wholly.has(reason)) this.unusable.add(id)
    this.total++
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1)
    if (!this.examples.has(reason)) this.examples.set(reason, oneLine(message, 300))
    if (this.total > this.limit) throw this.tooMany()
  }

  /** What was wrong, how often, and an example of each, in a line. */
  summary(): string {
    return [...this.reasons].map(([reason, count]) => `${count} x ${reason} (${this.examples.get(reason)})`).join("; ")
  }

  private tooMany(): UserError {
    return new UserError(
      `${this.total} samples cannot be used, more than the ${this.limit} allowed: ${this.summary()}`,
      "mend or leave out these samples, or allow more bad samples",
    )
  }
}
