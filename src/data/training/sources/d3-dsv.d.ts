/** Types of the parts of d3-dsv that are used here; the package has none. */
declare module "d3-dsv" {
  interface Format {
    parseRows(text: string): string[][]
  }
  export function dsvFormat(separator: string): Format
}
