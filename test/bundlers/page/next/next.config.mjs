// The packages are links in the tests, which lead out of the folder.
export default { output: "export", basePath: "/sub/path", turbopack: { root: "/" } }
