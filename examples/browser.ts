/** A page that says which label fits a picture best. Bundled by any bundler; the model is a folder beside the page. */
import { MobileCLIP } from "mobileclip/browser"

document.body.innerHTML = `
  <main>
    <h1>What is in the picture?</h1>
    <p><label>Picture: <input type="file" accept="image/*" /></label></p>
    <p><label>Labels: <input type="text" size="60" value="a circle, a square, a star, a heart" /></label></p>
    <p><img alt="" height="200" hidden /></p>
    <p role="status">loading</p>
    <table></table>
  </main>`

const [picture, words] = document.querySelectorAll("input") as unknown as [HTMLInputElement, HTMLInputElement]
const status = document.querySelector("[role=status]")!
const preview = document.querySelector("img")!
const table = document.querySelector("table")!

const model = new URLSearchParams(location.search).get("model") ?? "./models/model/"
const clip = await MobileCLIP.load(model, {
  onProgress: ({ stage, file, loaded, total, from }) => {
    const share = total === null ? "" : `: ${Math.round((100 * loaded) / total)} %`
    status.textContent = `${stage} ${file} (${from})${share}`
  },
})
const { name, device, dtype, notes } = clip.info
status.textContent = [`${name} on ${device}, weights ${dtype.image} and ${dtype.text}`, ...notes].join("; ")

for (const input of [picture, words]) input.addEventListener("change", classify)

async function classify(): Promise<void> {
  const [file] = picture.files!
  if (!file) return
  preview.src = URL.createObjectURL(file)
  preview.hidden = false
  try {
    const labels = words.value.split(/\s*,\s*/).filter((label) => label !== "")
    const [scores] = await clip.classify([file], labels)
    table.replaceChildren(...scores!.map(({ label, score }) => row(label, score)))
  } catch (error) {
    status.textContent = (error as Error).message
  }
}

function row(label: string, score: number): HTMLTableRowElement {
  const line = document.createElement("tr")
  const bar = Object.assign(document.createElement("meter"), { value: score })
  line.append(cell(label), cell(bar), cell(`${(100 * score).toFixed(1)} %`))
  return line
}

function cell(content: string | Node): HTMLTableCellElement {
  const one = document.createElement("td")
  one.append(content)
  return one
}
