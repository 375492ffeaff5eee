/** A page that says which label fits a picture best. Bundled by any bundler; the model is a folder beside the page. */
import { MobileCLIP } from "mobileclip/browser"

document.body.innerHTML = `
  <h1>What is in the picture?</h1>
  <p><label>Picture: <input type="file" accept="image/*" /></label></p>
  <p><label>Labels: <input type="text" size="60" value="a circle, a square, a star, a heart" /></label></p>
  <p><img alt="" height="200" /></p><table></table><p role="status">loading</p>`

const element = <E extends Element>(selector: string) => document.querySelector<E>(selector)!
const [picture, words] = [element<HTMLInputElement>("[type=file]"), element<HTMLInputElement>("[type=text]")]
const say = (text: string) => element("[role=status]").replaceChildren(text)

const clip = await MobileCLIP.load("./models/model/", {
  onProgress: ({ stage, file, loaded, from }) => say(`${stage} ${file} (${from}): ${loaded} bytes`),
})
const { name, device, dtype, notes } = clip.info
say([`${name} on ${device}, weights ${dtype.image} and ${dtype.text}`, ...notes].join("; "))
for (const input of [picture, words])
  input.onchange = () => classify(picture.files!).catch((e: Error) => say(e.message))

async function classify([file]: Iterable<File>): Promise<void> {
  if (!file) return
  element<HTMLImageElement>("img").src = URL.createObjectURL(file)
  const [scores] = await clip.classify([file], words.value.split(/\s*,\s*/))
  const table = element<HTMLTableElement>("table")
  table.replaceChildren()
  for (const { label, score } of scores!)
    table.insertRow().insertCell().textContent = `${label} ${(100 * score).toFixed(1)} %`
}
