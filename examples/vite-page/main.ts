/** Says which label fits a picture best. All computing is in a module worker, which Vite finds and bundles by itself. */
import { type ClipInfo, MobileCLIP } from "mobileclip/browser"

const element = <E extends Element>(selector: string) => document.querySelector<E>(selector)!
const [picture, words] = [element<HTMLInputElement>("#picture"), element<HTMLInputElement>("#labels")]
const [list, preview] = [element("#scores"), element<HTMLImageElement>("#preview")]
const say = (text: string) => element("#status").replaceChildren(text)
const explain = (error: Error) => say(error.message)
const describe = ({ name, device, notes }: ClipInfo) => [`${name} on ${device}`, ...notes].join("; ")

MobileCLIP.load("./model/", { onProgress: ({ file, loaded }) => say(`${file}: ${loaded} bytes`) }).then(start, explain)

function start(clip: MobileCLIP): void {
  for (const input of [picture, words]) input.onchange = () => classify(clip).catch(explain)
  picture.disabled = words.disabled = false
  say(describe(clip.info))
}

async function classify(clip: MobileCLIP): Promise<void> {
  const [file] = picture.files!
  if (!file) return
  list.replaceChildren()
  URL.revokeObjectURL(preview.src)
  preview.src = URL.createObjectURL(file)
  const [scores] = await clip.classify([file], words.value.split(/\s*,\s*/))
  const lines = scores!.map(({ label, score }) => `${label} ${(100 * score).toFixed(1)} %`)
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })))
  say(describe(clip.info))
}
