/** A migration as a process of its own, to be killed by tests. Arguments: folder of the index, model. */
import { migrateIndex } from "../src/search/migrate/migrate-index.ts"

await migrateIndex(process.argv[2]!, { model: process.argv[3]!, threads: 0 })
