/** Small parts that all tabs have. */
import type { ComponentChildren } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { type Told, told } from "./words.ts"

/** What went wrong, and what to do. */
export function Problem({ error }: { readonly error: unknown }) {
  if (error === null || error === undefined) return null
  const { what, todo }: Told = told(error)
  return (
    <p class="problem" role="alert">
      <strong>{what}</strong>
      {todo && <span> What to do: {todo}</span>}
    </p>
  )
}

interface AskFirstProps {
  readonly children: ComponentChildren
  readonly label?: string
  readonly small?: boolean
  readonly question: string
  /** What the button says that does it. */
  readonly yes: string
  readonly onYes: () => void
}

/** A button for what cannot be undone. */
export function AskFirst({ children, label, small = false, question, yes, onYes }: AskFirstProps) {
  const [isAsking, ask] = useState(false)
  const no = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (isAsking) no.current!.focus()
  }, [isAsking])
  const style = small ? "small" : undefined
  if (!isAsking)
    return (
      <button type="button" class={style} {...(label && { "aria-label": label })} onClick={() => ask(true)}>
        {children}
      </button>
    )
  return (
    <span class="row">
      <span role="status">{question}</span>
      <button ref={no} type="button" class={style} onClick={() => ask(false)}>
        Keep
      </button>
      <button
        type="button"
        class={style}
        onClick={() => {
          ask(false)
          onYes()
        }}
      >
        {yes}
      </button>
    </span>
  )
}

interface AwaitedProps {
  readonly isAwaited: boolean
  readonly children: ComponentChildren
}

/** What is computed anew: what was there before stays, dimmed, until the new one has come. */
export function Awaited({ isAwaited, children }: AwaitedProps) {
  return (
    <div class="awaited" aria-busy={isAwaited}>
      <p class="soft computing" hidden={!isAwaited}>
        Computing …
      </p>
      {children}
    </div>
  )
}

interface FileButtonProps {
  readonly children: ComponentChildren
  readonly onFiles: (files: readonly File[]) => void
  readonly folder?: boolean
  readonly multiple?: boolean
  readonly accept?: string
  readonly label?: string
  readonly primary?: boolean
  readonly disabled?: boolean
}

/** A real file input under a button, so that keyboards and screen readers have both in one. */
export function FileButton(props: FileButtonProps) {
  const { children, onFiles, folder = false, multiple = true, accept = "image/*", label, primary, disabled } = props
  const input = useRef<HTMLInputElement>(null)
  return (
    <label class={`button${primary ? " primary" : ""}${disabled ? " disabled" : ""}`}>
      {children}
      <input
        ref={input}
        type="file"
        class="under"
        disabled={disabled}
        multiple={multiple && !folder}
        {...(folder ? { webkitdirectory: true } : { accept })}
        {...(label && { "aria-label": label })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.repeat) return
          // Browsers differ: without this some of them would open it twice, and some not at all.
          event.preventDefault()
          input.current!.click()
        }}
        onChange={() => {
          const files = [...(input.current!.files ?? [])]
          // The same file may be chosen again.
          input.current!.value = ""
          if (files.length > 0) onFiles(files)
        }}
      />
    </label>
  )
}

/** A picture from a Blob, whose address is given back when it is not shown any more. */
export function Picture({ blob, alt }: { readonly blob: Blob; readonly alt: string }) {
  const [url, setUrl] = useState<string | null>(null)
  useEffect(() => {
    const made = URL.createObjectURL(blob)
    setUrl(made)
    return () => URL.revokeObjectURL(made)
  }, [blob])
  return url ? <img src={url} alt={alt} decoding="async" /> : <span class="blank" />
}

export interface Bar {
  readonly label: string
  /** 0..1 */
  readonly score: number
  readonly cosine: number | null
}

/** Scores as bars, with the cosines beside. */
export function ScoreBars({ bars, caption }: { readonly bars: readonly Bar[]; readonly caption: string }) {
  const hasCosines = bars.some(({ cosine }) => cosine !== null)
  return (
    <table class="bars">
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">Label</th>
          <th scope="col" class="wide">
            <span class="hidden">Bar</span>
          </th>
          <th scope="col">Score</th>
          {hasCosines && <th scope="col">Cosine</th>}
        </tr>
      </thead>
      <tbody>
        {bars.map(({ label, score, cosine }, place) => (
          <tr key={label} class={place === 0 ? "best" : undefined}>
            <th scope="row">{label}</th>
            <td class="wide" aria-hidden="true">
              <div class="track">
                <div class="fill" style={{ width: `${score * 100}%` }} />
              </div>
            </td>
            <td>{(score * 100).toFixed(1)} %</td>
            {hasCosines && <td>{cosine === null ? "" : cosine.toFixed(3)}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
