/** Keeps a folder of pictures in an index and finds them: `node dist/examples/search.js MODEL PICTURES INDEX TEXT`. */
import { indexPictures, parseQuery, SearchIndex } from "mobileclip/search"

const [model = "model", pictures = "pictures", folder = "pictures.index", text = "a red circle"] = process.argv.slice(2)
// The second time it reads only what changed.
const { encoded, files } = await indexPictures(folder, [pictures], { model })
console.log(`${encoded} pictures encoded, ${files} files in the index`)

const index = await SearchIndex.open(folder)
try {
  const { hits, searched } = await index.search({ terms: parseQuery({ words: [text] }).terms, limit: 3 })
  console.log(`the best ${hits.length} of ${searched}`)
  for (const { paths, cosine, verdict } of hits) console.log(cosine.toFixed(3), verdict, paths[0])
} finally {
  await index.dispose()
}
