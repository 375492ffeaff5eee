/** Where models are looked for by name, unless a user says another hub. */
export const defaultHub = "https://huggingface.co"
