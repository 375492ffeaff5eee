/** The filters of a search as fields of a request in JSON, with what they mean for whoever writes one: values are `FilterWords`. */
import { z } from "zod"

/** A model reads 77 tokens. */
export const searchText = z.string().min(1).max(2000)
const several = z.array(searchText).max(100)

/** Without the folders, whose names are another matter for each of those that are asked. */
export const filterFields = {
  after: searchText.optional().describe('Taken at this time or later: "2023", "2023-07", "2023-07-14", "3 weeks ago"'),
  before: searchText.optional().describe("Taken before this time begins"),
  date: searchText.optional().describe("Taken within this day, month or year"),
  names: several.optional().describe('File names that match one of these patterns: "IMG_2*", "*.heic"'),
  larger: several.optional().describe('At least so large: "2MP" (pixels), "1000x800" (both sides), "1MB" (the file)'),
  smaller: several.optional().describe("Smaller than that"),
  orientation: searchText.optional().describe("landscape, portrait or square; several separated by commas"),
  cameras: several.optional().describe("A part of the camera's name"),
  near: searchText.optional().describe('Taken near a place: "LAT,LON" or "LAT,LON,KM"'),
  format: searchText.optional().describe("jpg, png, webp, avif, tif, gif, heic; several separated by commas"),
}
