/** Thrown by a checker for a part of the system that does not exist yet. */
export class NotYet extends Error {}
