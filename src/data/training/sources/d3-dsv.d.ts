/** What is used here of d3-dsv, which has no types of its own. */
declare module "d3-dsv" {
  interface Format {
    parseRows(text: string): string[][]
  }
  export function dsvFormat(separator: string): Format
}
