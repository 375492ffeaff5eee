/** What a score means, said with the figures that are on the page. */
import type { LabelScore } from "mobileclip/browser"
import { percent } from "../shared/words.ts"

/** Factor on cosines where a model's files do not say theirs; the library takes the same. */
const usualScale = 100

interface ExplainProps {
  /** The best first. */
  readonly scores: readonly LabelScore[]
  readonly logitScale: number | null
}

export function Explain({ scores, logitScale }: ExplainProps) {
  const [best, second] = scores
  if (!best) return null
  const scale = logitScale ?? usualScale
  return (
    <details class="explain">
      <summary>What do these figures say?</summary>
      <p>
        <strong>The cosine</strong> says how near the picture and the words are to each other in the model's space: 1 is
        the same direction, 0 has nothing to do with it. It depends on this label alone. “{best.label}” has{" "}
        {best.cosine.toFixed(3)}. Matching pictures and words rarely reach large values, so cosines are compared with
        each other: a value that is high for one label may be ordinary for another.
      </p>
      <p>
        <strong>The score</strong> shares 100 % among <em>these {scores.length} labels</em>. Each cosine is multiplied
        by {scale.toFixed(1)}, which the model learnt in training, and taken as a power of e; the scores are the shares
        of the sum (a softmax).
        {second && <Difference best={best} second={second} scale={scale} />}
      </p>
      {second === undefined && <p>With one label alone the score is always 100 %: only the cosine says something.</p>}
      <p>
        So {percent(best.score)} does not say that the picture is “{best.label}” with that probability. It says that
        this label fits better than the others in the list. One always fits best, even where none fits: add “something
        else”, or look at the cosines. Other labels beside it change the score, and not the cosine.
      </p>
    </details>
  )
}

function Difference({ best, second, scale }: { best: LabelScore; second: LabelScore; scale: number }) {
  const difference = best.cosine - second.cosine
  const times = Math.exp(scale * difference)
  return (
    <>
      {" "}
      Here “{best.label}” is {difference.toFixed(3)} above “{second.label}”, which makes its score{" "}
      {times < 1000 ? times.toFixed(1) : "more than a thousand"} times as large.
    </>
  )
}
