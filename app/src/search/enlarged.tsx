/** One of the pictures that were found, as large as the window has room for: over the page, until it is closed. */
import { signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { openTab } from "../shared/intake.ts"
import { Picture } from "../shared/parts.tsx"

export interface Enlarged {
  /** Where it is, for people. */
  readonly path: string
  /** What stands for the picture where it is not seen. */
  readonly alt: string
  /** Its file, or an address. */
  readonly image: Blob | string
}

/** Null: none is. */
const enlarged = signal<Enlarged | null>(null)

/** Its small copy, which enlarges it. */
export function Enlarge({ children, ...picture }: Enlarged & { readonly children: ComponentChildren }) {
  return (
    <button
      type="button"
      class="enlarge"
      aria-label={`Enlarge: ${picture.alt}`}
      onClick={() => (enlarged.value = picture)}
    >
      {children}
    </button>
  )
}

export function EnlargedPicture() {
  return enlarged.value && <Shown {...enlarged.value} />
}

function Shown({ path, alt, image }: Enlarged) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current!.showModal(), [])
  const close = () => dialog.current!.close()
  // In a tab that is hidden it would be unseen, and keep the rest of the page from being used.
  useEffect(() => openTab.subscribe((tab) => tab !== "search" && close()), [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={dialog}
      class="enlarged"
      aria-label={path}
      onClose={() => (enlarged.value = null)}
      onClick={({ target }) => target === dialog.current && close()}
    >
      <figure>
        {typeof image === "string" ? <img src={image} alt={alt} /> : <Picture blob={image} alt={alt} />}
        <figcaption class="row">
          <span class="grow">{path}</span>
          <button type="button" onClick={close}>
            Close
          </button>
        </figcaption>
      </figure>
    </dialog>
  )
}
