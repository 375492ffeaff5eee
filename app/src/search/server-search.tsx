/** Search in the server's index: by words, or by one of its pictures. */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { Awaited, Problem } from "../shared/parts.tsx"
import { counted, isAbort } from "../shared/words.ts"
import { useLatest } from "./as-you-type.ts"
import { Enlarge } from "./enlarged.tsx"
import { LikeLine } from "./results.tsx"
import {
  describeIndex,
  divided,
  type IndexDescription,
  type ServerAnswer,
  type ServerHit,
  type ServerQuestion,
  searchServer,
} from "./server-index.ts"

export function IndexLine() {
  const index = useSignal<IndexDescription | null>(null)
  useEffect(() => {
    const own = new AbortController()
    // A search says what is wrong with the server.
    describeIndex(own.signal).then(
      (found) => (index.value = found),
      () => {},
    )
    return () => own.abort()
  }, [])
  if (!index.value) return <p class="soft">The server searches by a model of its own.</p>
  const { pictures, model, folders } = index.value
  return (
    <p class="soft">
      {counted(pictures, "picture")} of {folders.join(", ")}, searched on the server by the model “{model}”.
    </p>
  )
}

export function ServerSearch({ words }: { readonly words: string }) {
  const like = useSignal<ServerHit | null>(null)
  const answer = useSignal<ServerAnswer | null>(null)
  const error = useSignal<unknown>(null)
  const isAsking = useSignal(false)
  useEffect(() => {
    like.value = null
  }, [words])
  const question: ServerQuestion | null = like.value ? { like: like.value.id } : words === "" ? null : { query: words }
  useLatest(question && ((signal) => searchServer(question, null, signal)), [words, like.value], {
    answer,
    error,
    isAsking,
  })
  const more = async (before: ServerAnswer) => {
    try {
      const next = await searchServer(question!, before.cursor, AbortSignal.timeout(60_000))
      if (answer.value === before) answer.value = joined(before, next)
    } catch (thrown) {
      if (!isAbort(thrown)) error.value = thrown
    }
  }
  return (
    <>
      {like.value && <LikeLine name={like.value.name} onBack={() => (like.value = null)} />}
      <Problem error={error.value} />
      <Awaited isAwaited={isAsking.value}>
        {answer.value && (
          <Results answer={answer.value} onLike={(hit) => (like.value = hit)} onMore={() => more(answer.value!)} />
        )}
      </Awaited>
    </>
  )
}

function joined(before: ServerAnswer, next: ServerAnswer): ServerAnswer {
  const matches = before.matches === null || next.matches === null ? null : before.matches + next.matches
  return { ...next, matches, hits: [...before.hits, ...next.hits] }
}

interface ResultsProps {
  readonly answer: ServerAnswer
  readonly onLike: (hit: ServerHit) => void
  readonly onMore: () => void
}

function Results({ answer, onLike, onMore }: ResultsProps) {
  const { notes, cursor } = answer
  const [above, below] = divided(answer)
  return (
    <section aria-label="Results">
      <p role="status" class="verdict">
        {verdictOf(answer)}
      </p>
      {notes.map((note) => (
        <p key={note} class="soft">
          {note}
        </p>
      ))}
      {above.length > 0 && (
        <Hits hits={above} label={answer.matches === null ? "Nearest" : "What stands out"} onLike={onLike} />
      )}
      {below.length > 0 && (
        <>
          <h2 class="divider">Weaker</h2>
          <Hits hits={below} label="Weaker" onLike={onLike} />
        </>
      )}
      {cursor !== null && (
        <button type="button" onClick={onMore}>
          Show more
        </button>
      )}
    </section>
  )
}

function verdictOf({ hits, matches, searched }: ServerAnswer): string {
  if (searched === 0 || hits.length === 0) return "The index has no picture to compare with."
  if (matches === null) return `The nearest of ${counted(searched, "picture")}; nothing says which of them fit.`
  if (matches === 0) return "Nothing in the index stands out; the nearest are below."
  return `${counted(matches, "picture")} of the index ${matches === 1 ? "stands" : "stand"} out.`
}

interface HitsProps {
  readonly hits: readonly ServerHit[]
  readonly label: string
  readonly onLike: (hit: ServerHit) => void
}

function Hits({ hits, label, onLike }: HitsProps) {
  return (
    <ol class="grid" aria-label={label}>
      {hits.map((hit) => {
        const name = hit.name.split("/").at(-1)!
        return (
          <li key={hit.id} class="found">
            <Enlarge path={hit.name} alt={hit.caption ?? name} image={hit.large}>
              <img src={hit.thumbnail} alt={hit.caption ?? name} loading="lazy" />
            </Enlarge>
            <p class="name" title={hit.name}>
              {name}
            </p>
            <p class="row">
              <span class="soft">
                {hit.z !== null && `z ${hit.z.toFixed(1)} · `}
                {hit.cosine.toFixed(3)}
              </span>
              <button type="button" class="small" aria-label={`More like it: ${name}`} onClick={() => onLike(hit)}>
                More like it
              </button>
            </p>
          </li>
        )
      })}
    </ol>
  )
}
