/** The stages of a long command: the time they took, and its section in a report. */
import { type Html, html } from "../../report/html.ts"
import { durationText, percent } from "../../report/numbers.ts"

export interface Stage {
  readonly name: string
  readonly seconds: number
}

/** What is told of the stages as they come. */
export interface StageObserver {
  stageBegins(name: string): void
  /** Not called for a stage that fails. */
  stageEnds(name: string): void
}

/** Measures the wall time of the stages. */
export class Clock {
  readonly stages: Stage[] = []
  private readonly started = performance.now()

  /** @param earlier times of the stages before this process, which count as well */
  constructor(
    private readonly signal: AbortSignal,
    private readonly observer: StageObserver | null = null,
    private readonly earlier: readonly Stage[] = [],
  ) {}

  async stage<T>(name: string, run: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted()
    this.observer?.stageBegins(name)
    const started = performance.now()
    const result = await run()
    const before = this.earlier.find((stage) => stage.name === name)?.seconds ?? 0
    this.stages.push({ name, seconds: before + (performance.now() - started) / 1000 })
    this.observer?.stageEnds(name)
    return result
  }

  seconds(): number {
    const before = this.earlier.reduce((sum, { seconds }) => sum + seconds, 0)
    return before + (performance.now() - this.started) / 1000
  }
}

/** @param seconds the time of the command: more than that of its stages, because there is work between them */
export function stagesSection({
  stages,
  seconds,
}: {
  readonly stages: readonly Stage[]
  readonly seconds: number
}): Html {
  const longest = Math.max(...stages.map((stage) => stage.seconds))
  const row = (stage: Stage) => html`
<tr>
  <th scope="row">${stage.name}</th>
  <td class="bar"><div><i style="width:${percent(stage.seconds / longest)}"></i></div></td>
  <td>${durationText(stage.seconds)}</td>
</tr>`
  return html`
<section>
  <h2>Where the time went</h2>
  <table class="bars">
    <tbody>${stages.map(row)}</tbody>
    <tfoot><tr><th scope="row">all</th><td></td><td>${durationText(seconds)}</td></tr></tfoot>
  </table>
</section>`
}
