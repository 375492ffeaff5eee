/** Search: pictures of this machine by words, or by one of them. */
import { useSignal } from "@preact/signals"
import { useEffect, useMemo, useRef } from "preact/hooks"
import { host, type Ready, ready } from "../model/state.ts"
import { type Received, receiveIn, sayWhetherAny, takeFolder, takePictures } from "../shared/intake.ts"
import { Awaited, FileButton, Problem } from "../shared/parts.tsx"
import { counted } from "../shared/words.ts"
import { useLatest } from "./as-you-type.ts"
import { EnlargedPicture } from "./enlarged.tsx"
import { chooseFolder, type FolderHandle, hasFolderHandles, isAllowed, lastFolder, picturesInFolder } from "./folder.ts"
import { type LibraryPicture, PictureLibrary, type Progress } from "./library.ts"
import { LikeLine, type OwnAnswer, OwnResults } from "./results.tsx"
import { IndexLine, ServerSearch } from "./server-search.tsx"
import { cosinesWith, rank } from "./stands-out.ts"

export const library = new PictureLibrary()

export function Search() {
  const query = useSignal("")
  const onServer = useSignal(false)
  useEffect(() => receiveIn("search", (pictures) => library.add(pictures)), [])
  useEffect(() => library.use(ready.value), [ready.value])
  const words = query.value.trim()
  return (
    <div class="search">
      {host.value.hasIndex && (
        <label class="inline switch">
          <input
            type="checkbox"
            checked={onServer.value}
            onChange={({ currentTarget }) => (onServer.value = currentTarget.checked)}
          />
          Search the server's index instead (words go to the server)
        </label>
      )}
      {onServer.value ? (
        <IndexLine />
      ) : (
        <>
          <Sources />
          <ProgressLine progress={library.progress.value} />
        </>
      )}
      <label class="query">
        Look for
        <input
          type="search"
          autocomplete="off"
          placeholder="a red bicycle in the rain"
          value={query.value}
          onInput={({ currentTarget }) => (query.value = currentTarget.value)}
        />
      </label>
      {onServer.value ? <ServerSearch words={words} /> : <OwnSearch words={words} />}
      <EnlargedPicture />
    </div>
  )
}

function OwnSearch({ words }: { readonly words: string }) {
  const like = useSignal<LibraryPicture | null>(null)
  const answer = useSignal<OwnAnswer | null>(null)
  const error = useSignal<unknown>(null)
  const isAsking = useSignal(false)
  const open = ready.value
  const version = useEverySecond(library.progress.value.version)
  const vectors = useMemo(() => new Map<string, Promise<Float32Array>>(), [open])
  useEffect(() => {
    like.value = null
  }, [words])
  const isAsked = open !== null && (words !== "" || like.value !== null)
  useLatest(
    isAsked ? () => askLibrary(open, words, like.value, vectors) : null,
    [open, words, like.value, vectors],
    { answer, error, isAsking },
    [version],
  )
  return (
    <>
      {like.value && <LikeLine name={like.value.path} onBack={() => (like.value = null)} />}
      <Problem error={error.value} />
      <Awaited isAwaited={isAsking.value}>
        {answer.value && <OwnResults answer={answer.value} onLike={(picture) => (like.value = picture)} />}
      </Awaited>
    </>
  )
}

function Sources() {
  const error = useSignal<unknown>(null)
  const last = useSignal<FolderHandle | null>(null)
  useEffect(() => {
    if (hasFolderHandles()) void lastFolder().then((handle) => (last.value = handle ?? null))
  }, [])
  const read = async (handle: FolderHandle | null) => {
    try {
      if (!handle || !(await isAllowed(handle))) return
      last.value = null
      let some: readonly Received[] = []
      for await (some of picturesInFolder(handle)) library.add(some)
      sayWhetherAny(some)
    } catch (thrown) {
      error.value = thrown
    }
  }
  const choose = async () => {
    error.value = null
    await chooseFolder().then(read, (thrown) => (error.value = thrown))
  }
  return (
    <>
      <div class="row">
        {hasFolderHandles() ? (
          <button type="button" class="primary" onClick={choose}>
            Choose a folder …
          </button>
        ) : (
          <FileButton primary folder onFiles={(files) => library.add(takeFolder(files))}>
            Choose a folder …
          </FileButton>
        )}
        <FileButton onFiles={(files) => library.add(takePictures(files))}>Add pictures …</FileButton>
        {last.value && (
          <button type="button" onClick={() => read(last.value)}>
            Open “{last.value.name}” again
          </button>
        )}
      </div>
      <Problem error={error.value} />
    </>
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
            {unread.slice(0, 200).map(({ id, path, reason }) => (
              <li key={id}>
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

async function askLibrary(
  { clip }: Ready,
  words: string,
  like: LibraryPicture | null,
  vectors: Map<string, Promise<Float32Array>>,
): Promise<OwnAnswer> {
  const query = like?.vector ?? (await textVector(clip, words, vectors))
  // The picture itself would be the best answer to itself.
  const pictures = library.encoded.filter((picture) => picture !== like && picture.vector!.length === query.length)
  const cosines = cosinesWith(
    query,
    pictures.map(({ vector }) => vector!),
  )
  return { query: like?.path ?? words, pictures, ranking: rank(cosines) }
}

/** Each text once, unless it failed. */
function textVector(clip: Ready["clip"], words: string, vectors: Map<string, Promise<Float32Array>>) {
  const known = vectors.get(words)
  if (known) return known
  const made = clip.encodeText(words)
  vectors.set(words, made)
  made.catch(() => vectors.delete(words))
  return made
}
