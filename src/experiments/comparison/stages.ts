/** The stages of a long command: the time they took, and its section in a report. */
import { type Html, html } from "../../report/html.ts"
import { durationText, percent } from "../../report/numbers.ts"

export interface Stage {
  readonly name: string
  readonly seconds: number
}

/** Measures the wall time of the stages. */
export class Clock {
  readonly stages: Stage[] = []
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
