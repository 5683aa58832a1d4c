// Package manifests has tests only. They render the chart with each profile of its ci folder, and hold what comes
// out against the schemas of a real API server (kubeconform, strictly) and the restricted Pod Security Standard.
package manifests
