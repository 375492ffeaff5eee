/** Wall time of the stages. */
export class Clock {
  readonly stages: { name: string; seconds: number }[] = []
  private readonly started = performance.now()

  constructor(private readonly signal: AbortSignal) {}

  async stage<T>(name: string, run: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted()
    const started = performance.now()
    const result = await run()
    this.stages.push({ name, seconds: (performance.now() - started) / 1000 })
    return result
  }

  seconds(): number {
    return (performance.now() - this.started) / 1000
  }
}
