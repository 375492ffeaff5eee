/**
 * Searches an index again and again for what is like one of its pictures, until that fails; prints a line when it begins, and the
 * error in one line. Arguments: the folder of the index, the path of the picture.
 */
import { asUserError, messageOf } from "../src/core/errors.ts"
import { SearchIndex } from "../src/search/search-index.ts"

const [folder, path] = process.argv.slice(2) as [string, string]
await using index = await SearchIndex.open(folder, { cache: false })
try {
  for (let searches = 0; ; searches++) {
    await index.similar(path, { limit: 5 })
    if (searches === 0) console.log("searching")
  }
} catch (error) {
  console.log(messageOf(asUserError(error)))
}
