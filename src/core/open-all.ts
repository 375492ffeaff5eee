/** Things that must be closed, opened one after the other: all of them, or none is left open. */

export interface OpenedAll<T> extends AsyncDisposable {
  readonly all: readonly T[]
}

/** Closing it closes all. Throws what `open` throws; those that were open by then are closed. */
export async function openAll<Source, T extends AsyncDisposable>(
  sources: readonly Source[],
  open: (source: Source) => Promise<T>,
): Promise<OpenedAll<T>> {
  const all: T[] = []
  const close = async () => {
    await Promise.all(all.map((one) => one[Symbol.asyncDispose]()))
  }
  try {
    for (const source of sources) all.push(await open(source))
    return { all, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
