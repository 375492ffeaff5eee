/** Search: pictures of this machine by words, or by one of them. */
import { useSignal } from "@preact/signals"
import { useEffect, useMemo, useRef } from "preact/hooks"
import { host, type Ready, ready } from "../model/state.ts"
import { picturesOf, receiveIn } from "../shared/intake.ts"
import { FileButton, Problem } from "../shared/parts.tsx"
import { counted, isAbort } from "../shared/words.ts"
import { chooseFolder, type FolderHandle, hasFolderHandles, isAllowed, lastFolder, picturesInFolder } from "./folder.ts"
import { type LibraryPicture, PictureLibrary, type Progress } from "./library.ts"
import { OwnResults, ServerResults } from "./results.tsx"
import { type ServerAnswer, searchServer } from "./server-index.ts"
import { cosinesWith, type Ranking, rank } from "./stands-out.ts"

/** Milliseconds without a key before a query is computed. */
const debounce = 150

export interface OwnAnswer {
  readonly kind: "own"
  /** For people: the words, or the picture. */
  readonly query: string
  readonly pictures: readonly LibraryPicture[]
  readonly ranking: Ranking
}

type Answer = OwnAnswer | { readonly kind: "server"; readonly query: string; readonly answer: ServerAnswer }

export const library = new PictureLibrary()

export function Search() {
  const query = useSignal("")
  const like = useSignal<LibraryPicture | null>(null)
  const onServer = useSignal(false)
  const answer = useSignal<Answer | null>(null)
  const error = useSignal<unknown>(null)
  const progress = library.progress.value
  useEffect(() => receiveIn("search", (pictures) => library.add(pictures)), [])
  useEffect(() => library.use(ready.value), [ready.value])
  const done = useEverySecond(progress.done)
  useAnswer({ open: ready.value, text: query.value, like: like.value, onServer: onServer.value, done }, answer, error)
  return (
    <div class="search">
      {host.value.hasIndex && (
        <label class="inline switch">
          <input
            type="checkbox"
            checked={onServer.value}
            onChange={({ currentTarget }) => {
              onServer.value = currentTarget.checked
              answer.value = null
            }}
          />
          Search the server's index instead (words go to the server)
        </label>
      )}
      {!onServer.value && <Sources onError={(thrown) => (error.value = thrown)} />}
      {!onServer.value && <ProgressLine progress={progress} />}
      <label class="query">
        Look for
        <input
          type="search"
          autocomplete="off"
          placeholder="a red bicycle in the rain"
          value={query.value}
          onInput={({ currentTarget }) => {
            query.value = currentTarget.value
            like.value = null
          }}
        />
      </label>
      {like.value && (
        <p class="row">
          <span>Like {like.value.path}</span>
          <button type="button" onClick={() => (like.value = null)}>
            Back to words
          </button>
        </p>
      )}
      <Problem error={error.value} />
      {answer.value?.kind === "own" && (
        <OwnResults answer={answer.value} onLike={(picture) => (like.value = picture)} />
      )}
      {answer.value?.kind === "server" && <ServerResults answer={answer.value.answer} />}
    </div>
  )
}

function Sources({ onError }: { readonly onError: (error: unknown) => void }) {
  const last = useSignal<FolderHandle | null>(null)
  useEffect(() => {
    if (hasFolderHandles()) void lastFolder().then((handle) => (last.value = handle ?? null))
  }, [])
  const read = async (handle: FolderHandle | null) => {
    try {
      if (!handle || !(await isAllowed(handle))) return
      last.value = null
      for await (const pictures of picturesInFolder(handle)) library.add(pictures)
    } catch (error) {
      onError(error)
    }
  }
  const choose = () => chooseFolder().then(read, onError)
  return (
    <div class="row">
      {hasFolderHandles() ? (
        <button type="button" class="primary" onClick={choose}>
          Choose a folder …
        </button>
      ) : (
        <FileButton primary folder onFiles={(files) => library.add(picturesOf(files))}>
          Choose a folder …
        </FileButton>
      )}
      <FileButton onFiles={(files) => library.add(picturesOf(files))}>Add pictures …</FileButton>
      {last.value && (
        <button type="button" onClick={() => read(last.value)}>
          Open “{last.value.name}” again
        </button>
      )}
    </div>
  )
}

function ProgressLine({ progress }: { readonly progress: Progress }) {
  const { total, done, known, unread, rate, isPaused, notKept } = progress
  const left = total - done - unread.length
  if (total === 0)
    return <p class="soft">Choose a folder, or drop pictures here. They stay on this machine: nothing is uploaded.</p>
  return (
    <div class="progress">
      {left > 0 && <progress aria-label="Encoding pictures" value={done + unread.length} max={total} />}
      <p class="row">
        <span role="status">
          {left > 0
            ? `${done.toLocaleString("en")} of ${counted(total, "picture")} encoded`
            : `${counted(done, "picture")} to search`}
          {known > 0 && `, ${known.toLocaleString("en")} known from before`}
          {left > 0 && isPaused && ", paused"}
        </span>
        {left > 0 && rate !== null && !isPaused && <span class="soft">{remaining(left / rate)}</span>}
        {left > 0 && (
          <button type="button" onClick={() => library.pause(!isPaused)}>
            {isPaused ? "Go on" : "Pause"}
          </button>
        )}
        <button type="button" onClick={() => library.clear()}>
          Remove all
        </button>
      </p>
      {notKept && <p class="soft">Vectors are not kept for the next visit: {notKept}.</p>}
      {unread.length > 0 && (
        <details>
          <summary>{counted(unread.length, "file")} could not be read</summary>
          <ul>
            {unread.slice(0, 200).map(({ path, reason }) => (
              <li key={path}>
                {path}: {reason}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  )
}

function remaining(seconds: number): string {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`
  return `about ${Math.round(seconds / 60)} minutes left`
}

// -------------------------------------------------------------------------------------------------------- answering

interface Asked {
  readonly open: Ready | null
  readonly text: string
  readonly like: LibraryPicture | null
  readonly onServer: boolean
  /** Pictures that can be found: more of them, another answer. */
  readonly done: number
}

/** As one types: what was asked last counts, whatever comes first. */
function useAnswer(asked: Asked, answer: { value: Answer | null }, error: { value: unknown }): void {
  const { open, text, like, onServer, done } = asked
  const words = text.trim()
  const vectors = useMemo(() => new Map<string, Promise<Float32Array>>(), [open])
  useEffect(() => {
    if (words === "" && !like) {
      answer.value = null
      error.value = null
      return
    }
    if (!onServer && !open) return
    const own = new AbortController()
    const timer = setTimeout(async () => {
      try {
        const found = onServer ? await askServer(words, own.signal) : await askLibrary(open!, words, like, vectors)
        if (!own.signal.aborted) [answer.value, error.value] = [found, null]
      } catch (thrown) {
        if (own.signal.aborted || isAbort(thrown)) return
        ;[answer.value, error.value] = [null, thrown]
      }
    }, debounce)
    return () => {
      clearTimeout(timer)
      own.abort()
    }
  }, [open, words, like, onServer, done, vectors])
}

/** Follows a value that changes all the time, once in a second. */
function useEverySecond(value: number): number {
  const shown = useSignal(value)
  const latest = useRef(value)
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null)
  latest.current = value
  useEffect(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null
      shown.value = latest.current
    }, 1000)
  }, [value])
  return shown.value
}

async function askServer(query: string, signal: AbortSignal): Promise<Answer> {
  return { kind: "server", query, answer: await searchServer(query, 60, signal) }
}

async function askLibrary(
  { clip }: Ready,
  words: string,
  like: LibraryPicture | null,
  vectors: Map<string, Promise<Float32Array>>,
): Promise<Answer> {
  if (!like && !vectors.has(words)) vectors.set(words, clip.encodeText(words))
  const query = like?.vector ?? (await vectors.get(words)!)
  // The picture itself would be the best answer to itself.
  const pictures = library.encoded.filter((picture) => picture !== like && picture.vector!.length === query.length)
  const cosines = cosinesWith(
    query,
    pictures.map(({ vector }) => vector!),
  )
  return { kind: "own", query: like?.path ?? words, pictures, ranking: rank(cosines) }
}
