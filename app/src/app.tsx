/** The page: its tabs, of which all stay as they are while another one is open. */
import { useRef } from "preact/hooks"
import { About } from "./about/about.tsx"
import { ModelLine } from "./model/picker.tsx"
import { host } from "./model/state.ts"
import { takeOver, waiting } from "./offline/update.ts"
import { Search } from "./search/search.tsx"
import { See } from "./see/see.tsx"
import { isOver, openTab, passedOver } from "./shared/intake.ts"
import { Teach } from "./teach/teach.tsx"

const tabs = [
  { id: "see", name: "See", Content: See },
  { id: "search", name: "Search", Content: Search },
  { id: "teach", name: "Teach", Content: Teach },
  { id: "about", name: "About this model", Content: About },
] as const

/** The tab that is open is in the address, as #search: a reload and a link open it, and Back leads to the one before. */
export function followAddress(): void {
  const follow = () => {
    const named = tabs.find(({ id }) => `#${id}` === location.hash)
    openTab.value = (named ?? tabs[0]).id
  }
  follow()
  window.addEventListener("popstate", follow)
}

function goTo(id: string): void {
  if (openTab.value === id) return
  openTab.value = id
  history.pushState(null, "", `#${id}`)
}

export function App() {
  return (
    <>
      <header>
        <h1>mobileclip</h1>
        <p class="soft">
          Pictures and words compared in your browser.{" "}
          {host.value.hasIndex
            ? "Pictures stay here; words go to this server where you search its index."
            : "Nothing is uploaded."}
        </p>
      </header>
      {waiting.value && (
        <p class="notice" role="status">
          A new version of this page is ready.
          <button type="button" onClick={takeOver}>
            Reload with it
          </button>
          <span class="soft">Words, groups and vectors stay; chosen folders have to be opened again.</span>
        </p>
      )}
      <ModelLine />
      <main>
        <TabList />
        <LeftOut />
        {tabs.map(({ id, Content }) => (
          <div key={id} id={`panel-${id}`} role="tabpanel" aria-labelledby={`tab-${id}`} hidden={openTab.value !== id}>
            <Content />
          </div>
        ))}
      </main>
      {isOver.value && <div class="over">Drop pictures or a folder here</div>}
    </>
  )
}

/** In the tab to which the files were given. */
function LeftOut() {
  const found = passedOver.value
  if (found?.tab !== openTab.value) return null
  const { text, isAll } = found
  return (
    <p class={isAll ? "problem" : "notice"} role="alert">
      {text} JPEG, PNG, WebP, AVIF and GIF files are read.
    </p>
  )
}

/** Arrows, Home and End go from tab to tab, as screen readers' users expect. */
function TabList() {
  const list = useRef<HTMLDivElement>(null)
  const go = (place: number) => {
    const { id } = tabs[(place + tabs.length) % tabs.length]!
    goTo(id)
    list.current?.querySelector<HTMLElement>(`#tab-${id}`)?.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const place = tabs.findIndex(({ id }) => id === openTab.value)
    const targets: Readonly<Record<string, number>> = {
      ...{ ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 },
    }
    if (targets[event.key] === undefined) return
    event.preventDefault()
    go(targets[event.key]!)
  }
  return (
    <div ref={list} class="tabs" role="tablist" aria-label="What to do" onKeyDown={onKeyDown}>
      {tabs.map(({ id, name }) => (
        <button
          key={id}
          id={`tab-${id}`}
          type="button"
          role="tab"
          aria-selected={openTab.value === id}
          aria-controls={`panel-${id}`}
          tabIndex={openTab.value === id ? 0 : -1}
          onClick={() => goTo(id)}
        >
          {name}
        </button>
      ))}
    </div>
  )
}
