/** About this model: what computes here, how it was tested, what it is, and what the browser keeps. */
import { useSignal } from "@preact/signals"
import { type CachedModel, clearCache, listCached, type MobileCLIP } from "mobileclip/browser"
import type { ComponentChildren } from "preact"
import { useEffect } from "preact/hooks"
import { host, ready } from "../model/state.ts"
import { isOfflineReady } from "../offline/update.ts"
import { forgetFolder } from "../search/folder.ts"
import { clearKept, countKept } from "../shared/database.ts"
import { openTab } from "../shared/intake.ts"
import { AskFirst } from "../shared/parts.tsx"
import { counted, megabytes } from "../shared/words.ts"
import { countExamples, groups, removeAll } from "../teach/groups.ts"
import { licenceOf, TrainedOn } from "./origin.tsx"

export function About() {
  const open = ready.value
  return (
    <div class="about">
      {open ? (
        <>
          <h2>{open.clip.info.name}</h2>
          <Facts clip={open.clip} address={open.address} seconds={open.seconds} />
        </>
      ) : (
        <p>No model is open: choose one at the top of the page.</p>
      )}
      <Kept />
      <section>
        <h2>Privacy</h2>
        <p>
          Pictures, words and vectors stay in this browser. The page asks its own server for its files and for the model
          {host.value.takesAddresses && ", and another address where you name one"}.
          {host.value.hasIndex &&
            " Words, or which of its pictures others are to be like, go to the server where you switch to its index."}
        </p>
        <p>
          <a href="./licences.txt">Licences of what this page is made of</a>
        </p>
      </section>
    </div>
  )
}

interface FactsProps {
  readonly clip: MobileCLIP
  readonly address: string | null
  readonly seconds: number
}

function Facts({ clip, address, seconds }: FactsProps) {
  const { info, embedDim, logitScale } = clip
  const { manifest, dtype, preprocessing, notes } = info
  const { size, interpolation, mean, std } = preprocessing
  const tested = notes.find((note) => /self-test/.test(note))
  return (
    <dl class="facts">
      <Fact name="Trained on">
        <TrainedOn info={info} />
      </Fact>
      <Fact name="Licence of the weights">{licenceOf(info)}</Fact>
      <Fact name="Computes on">
        {info.device === "wasm" ? "the processor (WebAssembly)" : "the graphics processor (WebGPU)"}, {info.runtime}
      </Fact>
      <Fact name="Threads">{info.threads}</Fact>
      <Fact name="Weights">
        {[dtype.image && `pictures ${dtype.image}`, dtype.text && `texts ${dtype.text}`].filter(Boolean).join(", ")}
      </Fact>
      <Fact name="Self-test">
        {tested ?? "The processor needs none: the test is of graphics processors, which may compute wrongly."}
      </Fact>
      {notes.filter((note) => note !== tested).length > 0 && (
        <Fact name="Notes">
          <ul>
            {notes
              .filter((note) => note !== tested)
              .map((note) => (
                <li key={note}>{note}</li>
              ))}
          </ul>
        </Fact>
      )}
      <Fact name="Opened">
        in {seconds.toFixed(1)} s, from {address ?? "files of this machine"}
      </Fact>
      <Fact name="Vectors">
        {embedDim} values; scale of the softmax{" "}
        {logitScale === null ? "not said by its files, 100 is used" : logitScale.toFixed(2)}
      </Fact>
      <Fact name="Pictures">
        made {size} by {size} pixels ({interpolation}, cropped in the middle), colours 0 to 1 less {values(mean)},
        divided by {values(std)}
      </Fact>
      <Fact name="Texts">
        {info.contextLength === null ? "none: it has no text tower" : `up to ${info.contextLength} tokens`}
      </Fact>
      {manifest && (
        <Fact name="Files">
          <ul>
            {Object.entries(manifest.files).map(([name, { bytes }]) => (
              <li key={name}>
                {name}: {megabytes(bytes)}
              </li>
            ))}
          </ul>
        </Fact>
      )}
      {manifest && (
        <Fact name="Checked when it was made">
          against {manifest.verification.reference}: largest difference{" "}
          {manifest.verification.imageError.toExponential(1)} standard deviations for pictures
          {manifest.verification.textError !== undefined &&
            `, ${manifest.verification.textError.toExponential(1)} for texts`}
        </Fact>
      )}
    </dl>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function values(three: readonly number[]): string {
  const short = three.map((value) => Number(value.toFixed(4)))
  return new Set(short).size === 1 ? String(short[0]) : `(${short.join(", ")})`
}

interface KeptHere {
  readonly models: readonly CachedModel[]
  readonly vectors: number
  readonly room: StorageEstimate | null
}

function Kept() {
  const found = useSignal<KeptHere | null>(null)
  const said = useSignal("")
  const look = async () => {
    const [models, vectors, room] = await Promise.all([
      listCached().catch(() => []),
      countKept("vectors"),
      navigator.storage?.estimate().catch(() => null) ?? null,
    ])
    found.value = { models, vectors, room }
  }
  useEffect(() => {
    if (openTab.value === "about") void look()
  }, [openTab.value, ready.value])
  const clear = async () => {
    const freed = await clearCache().catch(() => 0)
    await Promise.all([clearKept("vectors"), forgetFolder()])
    said.value = `${megabytes(freed)} of models were removed, with all vectors of pictures.`
    await look()
  }
  const removeGroups = async () => {
    await removeAll()
    said.value = "The groups of Teach were removed."
  }
  if (!found.value) return null
  const { models, vectors, room } = found.value
  const examples = countExamples()
  return (
    <section aria-label="Kept in this browser">
      <h2>Kept in this browser</h2>
      <ul>
        {models.map(({ source, bytes }) => (
          <li key={source ?? "pieces"}>
            {source ?? "pieces of downloads that ended early"}: {megabytes(bytes)}
          </li>
        ))}
        {models.length === 0 && <li>no model</li>}
        <li>{vectors === 1 ? "the vector of 1 picture" : `vectors of ${vectors.toLocaleString("en")} pictures`}</li>
        {examples > 0 && (
          <li>
            {counted(groups.value.length, "group")} of Teach with {counted(examples, "picture")}
          </li>
        )}
        {room?.usage !== undefined && (
          <li>
            {megabytes(room.usage)} in all{room.quota ? `, and room for ${megabytes(room.quota)}` : ""}
          </li>
        )}
        <li>{isOfflineReady.value ? "this page: it opens without a network" : "not this page: it needs its server"}</li>
      </ul>
      <div class="row">
        <button type="button" onClick={clear}>
          Remove models and vectors
        </button>
        {examples > 0 && (
          <AskFirst
            question={`Remove the names of ${counted(groups.value.length, "group")}, and the page's copies of ${counted(examples, "picture")}?`}
            yes="Remove them"
            onYes={removeGroups}
          >
            Remove the groups of Teach
          </AskFirst>
        )}
        <span role="status">{said.value}</span>
      </div>
    </section>
  )
}
