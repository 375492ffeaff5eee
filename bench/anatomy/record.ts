/** What a trace itself costs, so that it can be taken off. */
import { median } from "../../src/core/arrays/quantile.ts"
import * as torch from "../../torch/index.ts"

/** Seconds that the record of a call adds to the call around it. */
export interface RecordCost {
  /** The cost of an operator that no other operator calls: its arguments are written down. */
  readonly outermost: number
  readonly nested: number
}

const repeats = 500
const turns = 9

/** By two operators that do almost nothing: one that calls no other, and one that calls several. */
export function measureRecord(): RecordCost {
  return torch.noGrad(() =>
    torch.scope(() => {
      const [x, weight] = [torch.ones([2, 2]), torch.ones([2, 2])]
      const simple = added(() => x.neg())
      const outermost = simple.seconds / simple.outermost
      const composed = added(() => torch.linear(x, weight, null))
      const nested = (composed.seconds - composed.outermost * outermost) / Math.max(1, composed.nested)
      return { outermost, nested: Math.max(0, nested) }
    }),
  )
}

interface Added {
  readonly seconds: number
  readonly outermost: number
  readonly nested: number
}

/** What a trace adds to a call, and the calls that it records. */
function added(call: () => torch.Tensor): Added {
  const work = () => {
    for (let i = 0; i < repeats; i++) call().free()
  }
  work()
  let rows: torch.TraceRow[] = []
  const differences = Array.from({ length: turns }, () => {
    const plain = secondsOf(work)
    let traced = 0
    rows = torch.trace(() => {
      traced = secondsOf(work)
    })
    return traced - plain
  })
  const calls = (nested: boolean) =>
    rows.reduce((sum, row) => sum + (row.path.includes(">") === nested ? row.calls / repeats : 0), 0)
  return { seconds: Math.max(0, median(differences)) / repeats, outermost: calls(false), nested: calls(true) }
}

function secondsOf(work: () => void): number {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}
