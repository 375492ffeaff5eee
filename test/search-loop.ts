/** Searches an index until its input ends, and prints each answer as a line. Argument: the folder of the index. */
import { SearchIndex } from "../src/search/search-index.ts"

let isEnding = false
process.stdin.on("end", () => {
  isEnding = true
})
process.stdin.resume()

await using index = await SearchIndex.open(process.argv[2]!, { cache: false })
while (!isEnding) {
  const page = await index.search({ terms: [{ kind: "text", weight: 1, text: "a red square" }], limit: 5 })
  process.stdout.write(`${JSON.stringify(page.hits.map((hit) => [hit.paths, hit.cosine]))}\n`)
}
