/** Pictures to begin with for the quickstart's student, which knows no photographs: rendered scenes that it has not seen. */
import { UserError } from "mobileclip/browser"

/** From the split "test" of `src/data/scenes`, seed 0: pictures 3841, 1632, 1009, 2389, 372 and 716. */
const addresses = import.meta.glob<string>("./scenes/*.jpg", { query: "?url", import: "default", eager: true })

const samples = Object.entries(addresses).map(([path, url]) => {
  const file = path.slice(path.lastIndexOf("/") + 1)
  return { url, file, name: file.replace(".jpg", "").replace("-", " ") }
})

interface SamplesProps {
  readonly onPicture: (picture: File) => void
  readonly onError: (error: unknown) => void
}

export function Samples({ onPicture, onError }: SamplesProps) {
  const take = async ({ url, file }: (typeof samples)[number]) => {
    try {
      const bytes = await (await fetch(url)).arrayBuffer()
      onPicture(new File([bytes], file, { type: "image/jpeg" }))
    } catch (error) {
      onError(
        new UserError(`the picture ${file} does not come`, "look whether the server still runs", { cause: error }),
      )
    }
  }
  return (
    <div class="samples">
      <p class="soft" id="samples">
        Pictures that it has not seen:
      </p>
      <ul class="row" aria-labelledby="samples">
        {samples.map((sample) => (
          <li key={sample.file}>
            <button type="button" aria-label={`Look at the ${sample.name}`} onClick={() => take(sample)}>
              <img src={sample.url} alt="" />
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}
