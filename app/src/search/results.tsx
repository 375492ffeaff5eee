/** What a search found: what stands out, a divider, and what is weaker. */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { Picture } from "../shared/parts.tsx"
import { thumbnailOf } from "../shared/thumbnail.ts"
import { counted } from "../shared/words.ts"
import { Enlarge } from "./enlarged.tsx"
import type { LibraryPicture } from "./library.ts"
import { leastPictures, type Ranked, type Ranking } from "./stands-out.ts"

const shownAtFirst = 48
/** How many weaker ones are shown. */
const weakShown = 24

export interface OwnAnswer {
  /** For people: the words, or the picture. */
  readonly query: string
  readonly pictures: readonly LibraryPicture[]
  readonly ranking: Ranking
}

interface OwnResultsProps {
  readonly answer: OwnAnswer
  readonly onLike: (picture: LibraryPicture) => void
}

export function OwnResults({ answer, onLike }: OwnResultsProps) {
  const { pictures, ranking, query } = answer
  const shown = useSignal(shownAtFirst)
  useEffect(() => {
    shown.value = shownAtFirst
  }, [query])
  if (pictures.length === 0) return <p role="status">There are no pictures to search yet.</p>
  const standOut = ranking.standOut ?? ranking.ranked.length
  const [above, below] = [ranking.ranked.slice(0, standOut), ranking.ranked.slice(standOut)]
  const list = (ranked: readonly Ranked[], label: string) => (
    <ol class="grid" aria-label={label}>
      {ranked.map((one) => (
        <Found
          key={pictures[one.index]!.id}
          one={one}
          hasZ={ranking.standOut !== null}
          picture={pictures[one.index]!}
          onLike={onLike}
        />
      ))}
    </ol>
  )
  return (
    <section aria-label="Results">
      <p role="status" class="verdict">
        {verdictOf(ranking, pictures.length)}
      </p>
      <How ranking={ranking} count={pictures.length} />
      {above.length > 0 && list(above.slice(0, shown.value), ranking.standOut === null ? "Nearest" : "What stands out")}
      {above.length > shown.value && (
        <button type="button" onClick={() => (shown.value += shownAtFirst)}>
          Show more
        </button>
      )}
      {below.length > 0 && (
        <>
          <h2 class="divider">Weaker</h2>
          {list(below.slice(0, weakShown), "Weaker")}
        </>
      )}
    </section>
  )
}

function verdictOf({ standOut }: Ranking, count: number): string {
  if (standOut === null) return `With fewer than ${leastPictures} pictures nothing can be said but which is nearest.`
  if (standOut === 0)
    return "Nothing stands out: no picture fits, or so many fit that none is above the others. The nearest are below."
  return `${counted(standOut, "picture")} of ${count.toLocaleString("en")} ${standOut === 1 ? "stands" : "stand"} out.`
}

function How({ ranking, count }: { readonly ranking: Ranking; readonly count: number }) {
  const best = ranking.ranked[0]
  if (ranking.standOut === null || !best) return null
  return (
    <details class="explain">
      <summary>How is that decided?</summary>
      <p>
        The query's cosine is taken with each of the {counted(count, "picture")}. z says how far a picture is above the
        middle of these cosines, in their spread. The best here has z {best.z.toFixed(1)} (cosine{" "}
        {best.cosine.toFixed(3)}). The best of {count.toLocaleString("en")} unrelated pictures would be above{" "}
        {ranking.threshold.toFixed(1)} in one case of twenty, if cosines were normally distributed: pictures above that
        stand out. Cosines themselves cannot be compared between queries.
      </p>
    </details>
  )
}

interface FoundProps {
  readonly one: Ranked
  readonly hasZ: boolean
  readonly picture: LibraryPicture
  readonly onLike: (picture: LibraryPicture) => void
}

function Found({ one, hasZ, picture, onLike }: FoundProps) {
  const name = picture.path.split("/").at(-1)!
  return (
    <li class="found">
      <Enlarge path={picture.path} alt={name} image={picture.file}>
        <Thumbnail file={picture.file} alt={name} />
      </Enlarge>
      <p class="name" title={picture.path}>
        {name}
      </p>
      <p class="row">
        <span class="soft">
          {hasZ && `z ${one.z.toFixed(1)} · `}
          {one.cosine.toFixed(3)}
        </span>
        <button type="button" class="small" aria-label={`More like it: ${name}`} onClick={() => onLike(picture)}>
          More like it
        </button>
      </p>
    </li>
  )
}

export function Thumbnail({ file, alt }: { readonly file: Blob; readonly alt: string }) {
  const small = useSignal<Blob | null>(null)
  useEffect(() => {
    let isShown = true
    void thumbnailOf(file).then((blob) => {
      if (isShown) small.value = blob
    })
    return () => {
      isShown = false
    }
  }, [file])
  return small.value ? <Picture blob={small.value} alt={alt} /> : <span class="blank" />
}

/** Which picture others are compared with, in place of words. */
export function LikeLine({ name, onBack }: { readonly name: string; readonly onBack: () => void }) {
  return (
    <p class="row">
      <span>Like {name}</span>
      <button type="button" onClick={onBack}>
        Back to words
      </button>
    </p>
  )
}
