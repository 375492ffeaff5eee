/** The program of a process that looks at shards. */
import { openStorage } from "../../data/stores/open.ts"
import { serveShards } from "../pool/serve.ts"
import { type LookSettings, lookOf, type ShardLook } from "./over-shards.ts"

serveShards<ShardLook, unknown>(async (given) => {
  const { look, settings } = given as LookSettings
  const [storage, run] = [openStorage(), lookOf(look)]
  return { identity: look, run: ({ shard }, { signal }) => run(storage, shard, settings, { signal }) }
})
