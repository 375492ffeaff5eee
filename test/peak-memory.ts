/** How much memory a call takes at its worst, for tests that small inputs stay small. */

/** Bytes by which the process' largest resident size grew, which includes what was freed again in between. */
export async function peakGrowth(run: () => unknown): Promise<number> {
  const before = process.resourceUsage().maxRSS
  await run()
  return (process.resourceUsage().maxRSS - before) * 1024
}
