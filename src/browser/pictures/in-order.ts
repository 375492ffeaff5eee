/** All values; the failure that is first by its place, whichever came first in time. */
export async function inOrder<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work)
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason
    return one.value
  })
}
