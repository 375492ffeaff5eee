/** Which model computes: one that the host names, an address, or files of this machine. */
import { useSignal } from "@preact/signals"
import { FileButton, Problem } from "../shared/parts.tsx"
import { megabytes, percent } from "../shared/words.ts"
import { type DeviceChoice, device, host, type ModelState, model, openModel, ready } from "./state.ts"

const devices: Readonly<Record<DeviceChoice, string>> = {
  auto: "choose by itself",
  wasm: "the processor (WebAssembly)",
  webgpu: "the graphics processor (WebGPU)",
}

export function ModelLine() {
  const state = model.value
  const isOpen = useSignal(false)
  const shown = isOpen.value || ready.value === null
  return (
    <section class="model" aria-label="Model">
      <div class="row">
        <Status state={state} />
        {state.kind === "loading" && (
          <button type="button" onClick={state.stop}>
            Stop
          </button>
        )}
        {ready.value && state.kind !== "loading" && (
          <button type="button" aria-expanded={shown} onClick={() => (isOpen.value = !isOpen.value)}>
            {shown ? "Close" : "Another model"}
          </button>
        )}
      </div>
      {state.kind === "failed" && <Problem error={state.error} />}
      {shown && state.kind !== "loading" && <Choices onChosen={() => (isOpen.value = false)} />}
    </section>
  )
}

function Status({ state }: { readonly state: ModelState }) {
  if (state.kind === "loading") return <Loading state={state} />
  const open = ready.value
  if (!open && host.value.wantsToken) return <WantsToken />
  if (!open && state.kind === "failed") return <p class="status">No model is open.</p>
  if (!open) return <p class="status">Choose a model: everything here is computed by it, in this browser.</p>
  const { name, device, threads } = open.clip.info
  const how =
    device === "wasm" ? `the processor, ${threads} thread${threads === 1 ? "" : "s"}` : "the graphics processor"
  return (
    <p class="status" role="status">
      <strong>{name}</strong> on {how}
    </p>
  )
}

function WantsToken() {
  return (
    <p class="status" role="status">
      This server wants a token, and got none, or a wrong one: reload the page, write any name, and the token as the
      password.
    </p>
  )
}

const stages = {
  download: "Fetching",
  verify: "Checking",
  export: "Writing",
  open: "Opening",
  "self-test": "Testing",
} as const

function Loading({ state }: { readonly state: Extract<ModelState, { kind: "loading" }> }) {
  const { progress } = state
  if (!progress)
    return (
      <p class="status" role="status">
        Opening the model …
      </p>
    )
  const { stage, file, loaded, total, from } = progress
  const what = stage === "download" && from === "cache" ? "Reading from this browser:" : stages[stage]
  const share = total ? loaded / total : null
  return (
    <div class="status">
      <p role="status">
        {what} {file}
      </p>
      <p class="soft">
        {stage === "download" && `${megabytes(loaded)}${total ? ` of ${megabytes(total)}, ${percent(share!)}` : ""}`}
      </p>
      <progress aria-label="Loading the model" {...(share !== null && stage === "download" ? { value: share } : {})} />
    </div>
  )
}

function Choices({ onChosen }: { readonly onChosen: () => void }) {
  const open = (source: Parameters<typeof openModel>[0]) => {
    onChosen()
    void openModel(source)
  }
  return (
    <div class="choices">
      {host.value.models.length > 0 && (
        <div class="row">
          {host.value.models.map(({ name, url }) => (
            <button key={url} type="button" class="primary" onClick={() => open(url)}>
              {name}
            </button>
          ))}
        </div>
      )}
      {host.value.takesAddresses && <AddressField onAddress={open} />}
      <div class="row">
        <FileButton folder onFiles={open}>
          A folder of this machine …
        </FileButton>
        <label class="inline">
          Compute on
          <select
            value={device.value}
            onChange={({ currentTarget }) => (device.value = currentTarget.value as DeviceChoice)}
          >
            {Object.entries(devices).map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      </div>
      <p class="soft">
        A model is a folder that <code>mobileclip convert</code> wrote. Files of this machine are read here, and not
        sent anywhere.
      </p>
    </div>
  )
}

function AddressField({ onAddress }: { readonly onAddress: (address: string) => void }) {
  const address = useSignal("")
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault()
        if (address.value.trim() !== "") onAddress(address.value.trim())
      }}
    >
      <label class="grow">
        Address of a model's folder, or owner/name on the hub
        <input
          type="text"
          autocomplete="off"
          spellcheck={false}
          placeholder="./models/s0/"
          value={address.value}
          onInput={({ currentTarget }) => (address.value = currentTarget.value)}
        />
      </label>
      <button type="submit">Open</button>
    </form>
  )
}
