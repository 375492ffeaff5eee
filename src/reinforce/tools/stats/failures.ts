/** How often something was left out or noted, by reasons that differ in numbers only. */

export interface Failure {
  /** The first of its reasons. */
  readonly first: string
  readonly times: number
}

export class Failures {
  /** By the reason without its numbers. */
  private readonly kinds = new Map<string, Failure>()

  add(reason: string, times = 1): void {
    const kind = reason.replaceAll(/\d+/g, "0")
    const before = this.kinds.get(kind)
    this.kinds.set(kind, { first: before?.first ?? reason, times: (before?.times ?? 0) + times })
  }

  counted(): readonly Failure[] {
    return [...this.kinds.values()]
  }

  addAll(counted: readonly Failure[]): void {
    for (const { first, times } of counted) this.add(first, times)
  }
}
