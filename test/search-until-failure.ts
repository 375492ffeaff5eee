/**
 * Searches an index again and again for what is like one of its pictures, until that fails; prints a line when it begins, and the
 * error in one line. Arguments: the folder of the index, the path of the picture, and where the process itself is to cut the file
 * of vectors within its second scan, the file and the bytes that are left.
 */
import { readFileSync, truncateSync } from "node:fs"
import { asUserError, messageOf } from "../src/core/errors.ts"
import { AddonScanner } from "../src/search/scan/addon-scanner.ts"
import type { Hits, ScanRequest } from "../src/search/scan/scan-request.ts"
import { SearchIndex } from "../src/search/search-index.ts"

const [folder, path, vectors, bytes] = process.argv.slice(2) as [string, string, string?, string?]
await using index = await SearchIndex.open(folder, { cache: false, threads: 2 })
try {
  for (let searches = 0; ; searches++) {
    await index.similar(path, { limit: 5 })
    if (searches > 0) continue
    console.log("searching")
    if (vectors !== undefined) AddonScanner.prototype.scan = cutWithin
  }
} catch (error) {
  console.log(messageOf(asUserError(error)))
}

/** As many queries take much longer than one. When their scan has its second thread, it has looked at the file's size, and reads rows. */
async function cutWithin(this: AddonScanner, { query, count, k }: ScanRequest): Promise<Hits> {
  const before = threads()
  const hits = this.scanMany(Array(64).fill(query), { count, k })
  for (let looks = 0; looks < 10_000 && threads() < before + 2; looks++);
  truncateSync(vectors!, Number(bytes))
  return (await hits)[0]!
}

function threads(): number {
  return Number(/^Threads:\s+(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))![1])
}
