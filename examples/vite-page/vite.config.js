/** Served from any path; the development server of Vite 7 leaves the library's files where its workers look for them. */
export default { base: "./", optimizeDeps: { exclude: ["mobileclip"] } }
