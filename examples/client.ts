/** Asks `mobileclip serve` which text fits a picture: `node dist/examples/client.js PICTURE TEXT...`. It needs no package. */
import { readFile } from "node:fs/promises"

const [picture = "pictures/a/0.jpg", ...texts] = process.argv.slice(2)
const { MOBILECLIP_URL = "http://127.0.0.1:8000", MOBILECLIP_TOKEN } = process.env
const image = (await readFile(picture)).toString("base64")

const answer = await fetch(`${MOBILECLIP_URL}/v1/embeddings`, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    ...(MOBILECLIP_TOKEN && { Authorization: `Bearer ${MOBILECLIP_TOKEN}` }),
  },
  body: JSON.stringify({ input: [{ image }, ...texts] }),
})
if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)

const { data } = (await answer.json()) as { data: { embedding: number[] }[] }
const [ofPicture, ...ofTexts] = data.map(({ embedding }) => embedding)
// Of unit vectors the dot product is the cosine.
const cosines = ofTexts.map((vector) => vector.reduce((sum, value, i) => sum + value * ofPicture![i]!, 0))
texts.forEach((text, i) => {
  console.log(`${cosines[i]!.toFixed(3)} ${text}`)
})
