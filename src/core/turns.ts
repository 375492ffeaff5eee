/** Long work in one thread, written as a generator that yields where other work may have its turn. */

/** Lets events and other work come in, in the middle of a long computation. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

/**
 * What the work returns.
 *
 * @param turn is waited for wherever the work yields
 */
export async function inTurns<T>(work: Generator<void, T>, turn: () => Promise<void> = nextTurn): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
    await turn()
  }
}

/** The same without a turn for others: for callers that cannot wait. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}
